package apiload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is a kind of client.
type Kind string

// The kinds of clients.
const (
	KindNew   Kind = "new connection"
	KindFar   Kind = "new connection of a client far away"
	KindKept  Kind = "kept connection"
	KindWatch Kind = "watch"
)

type entry struct {
	kind  Kind
	began time.Time
	took  time.Duration
	err   error
}

func (e entry) ended() time.Time { return e.began.Add(e.took) }

// journal keeps what came of every request.
type journal struct {
	start   time.Time
	mu      sync.Mutex
	entries []entry
	told    int
}

func (j *journal) add(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// tell notes that a client was told to come again, so often.
func (j *journal) tell(times int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.told += times
}

// Report is what came of a load.
type Report struct {
	Took       time.Duration
	Requests   int // without watches
	Watches    int // that ended; those still open when the load was stopped are not counted
	Told       int // answers that told a client of kept connections when to ask again (Retry-After), which it did
	Failures   []Failure
	LongestGap time.Duration // between two requests that succeeded, one after the other
	P50, P99   time.Duration // of the requests that succeeded, without those of clients far away
}

// Failure is one request that failed.
type Failure struct {
	Kind Kind
	At   time.Duration // after the start
	Took time.Duration
	Err  error
}

func (j *journal) report(end time.Time) Report {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := Report{Took: end.Sub(j.start), Told: j.told}
	var successes []time.Time
	var latencies []time.Duration
	for _, e := range j.entries {
		if e.kind == KindWatch {
			r.Watches++
		} else {
			r.Requests++
		}
		switch {
		case e.err != nil:
			r.Failures = append(r.Failures, Failure{e.kind, e.began.Sub(j.start), e.took, e.err})
		case e.kind != KindWatch:
			successes = append(successes, e.ended())
			if e.kind != KindFar {
				latencies = append(latencies, e.took)
			}
		}
	}
	slices.SortFunc(r.Failures, func(a, b Failure) int { return cmp.Compare(a.At, b.At) })
	slices.SortFunc(successes, time.Time.Compare)
	slices.Sort(latencies)
	last := j.start
	for _, at := range append(successes, end) {
		r.LongestGap = max(r.LongestGap, at.Sub(last))
		last = at
	}
	r.P50, r.P99 = Percentile(latencies, 50), Percentile(latencies, 99)
	return r
}

// Percentile is the smallest value that p per cent of the sorted values do not exceed.
func Percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// maxFailures is how many failures a report lists.
const maxFailures = 20

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d requests failed in %s; longest gap %s, p50 %s, p99 %s; %d watches ended, %d told to come again",
		r.failed(), r.Requests, round(r.Took), round(r.LongestGap), round(r.P50), round(r.P99), r.Watches, r.Told)
	for i, f := range r.Failures {
		if i == maxFailures {
			fmt.Fprintf(&b, "\n  and %d more", len(r.Failures)-i)
			break
		}
		fmt.Fprintf(&b, "\n  after %s: %s failed within %s: %v", round(f.At), f.Kind, round(f.Took), f.Err)
	}
	return b.String()
}

func (r Report) failed() int {
	n := 0
	for _, f := range r.Failures {
		if f.Kind != KindWatch {
			n++
		}
	}
	return n
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
