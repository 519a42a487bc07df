package report

import (
	"io"
	"os"
	"sync"
	"time"
)

// Options of a Reporter; zero values are the real world's.
type Options struct {
	Mode   Mode
	Now    func() time.Time
	Getenv func(string) string
	// Size returns columns and rows of the terminal.
	Size func() (columns, rows int)
	// Tick is how often a live tree is redrawn at most; 100 ms when it is zero.
	Tick time.Duration
}

// Reporter shows what a run of steps does. Its methods may be called concurrently. It is a step.Observer.
type Reporter struct {
	mu     sync.Mutex
	asking sync.Mutex // held during a question; mu is not, so that the work goes on meanwhile
	view   view
	now    func() time.Time
	close  sync.Once
	done   error
}

// view is one way of showing events. Its calls never overlap.
type view interface {
	show(event event)
	// suspend clears away what would mix with a question, resume puts it back.
	suspend()
	resume()
	close() error
}

// New makes a Reporter that writes to out.
func New(out io.Writer, options Options) *Reporter {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Getenv == nil {
		options.Getenv = os.Getenv
	}
	if options.Size == nil {
		options.Size = func() (int, int) { return terminalSize(out) }
	}
	if options.Tick == 0 {
		options.Tick = 100 * time.Millisecond
	}
	mode := options.Mode
	if mode == ModeAuto || mode == "" {
		mode = ModePlain
		if IsTerminal(out) && options.Getenv("TERM") != "dumb" {
			mode = ModeTTY
		}
	}
	r := &Reporter{now: options.Now}
	switch mode {
	case ModeJSON:
		r.view = newJSONView(out)
	case ModeTTY:
		r.view = newTreeView(out, options, &r.mu)
	case ModeAuto, ModePlain:
		r.view = newPlainView(out, options)
	}
	return r
}

func (r *Reporter) send(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = r.now()
	r.view.show(e)
}

// StepStarted is told by step.Run.
func (r *Reporter) StepStarted(index, total int, title string) {
	r.send(event{Kind: stepStarted, Step: index + 1, Of: total, Title: title})
}

// StepSkipped is told by step.Run.
func (r *Reporter) StepSkipped(index, total int, title, reason string) {
	r.send(event{Kind: stepSkipped, Step: index + 1, Of: total, Title: title, Text: reason})
}

// StepDone is told by step.Run.
func (r *Reporter) StepDone(index, total int, title string, elapsed time.Duration) {
	r.send(event{Kind: stepDone, Step: index + 1, Of: total, Title: title, Seconds: elapsed.Seconds()})
}

// StepFailed is told by step.Run.
func (r *Reporter) StepFailed(index, total int, title string, elapsed time.Duration, err error) {
	r.send(event{Kind: stepFailed, Step: index + 1, Of: total, Title: title, Seconds: elapsed.Seconds(), Error: err.Error()})
}

// StepUndone is told by step.Run.
func (r *Reporter) StepUndone(title string, err error) {
	e := event{Kind: stepUndone, Title: title}
	if err != nil {
		e.Error = err.Error()
	}
	r.send(e)
}

// Warn shows something that the user should look at.
func (r *Reporter) Warn(text string) { r.send(event{Kind: warning, Text: text}) }

// Info shows something worth knowing.
func (r *Reporter) Info(text string) { r.send(event{Kind: info, Text: text}) }

// Prompt runs ask, which writes to the same terminal and reads an answer, while no tree is drawn there. What happens
// meanwhile is shown afterwards. Questions come one at a time.
func (r *Reporter) Prompt(ask func()) {
	r.asking.Lock()
	defer r.asking.Unlock()
	r.mu.Lock()
	r.view.suspend()
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.view.resume()
		r.mu.Unlock()
	}()
	ask()
}

// Close ends the output; a terminal is left as it was found. It may be called more than once.
func (r *Reporter) Close() error {
	r.close.Do(func() { r.done = r.view.close() })
	return r.done
}

// Host is the line of a host, or of anything else that is worked on at the same time as others, below the present step.
func (r *Reporter) Host(name string) *HostLine { return &HostLine{reporter: r, name: name} }

// HostLine shows what happens to one host.
type HostLine struct {
	reporter *Reporter
	name     string
}

// Update says what is done at present.
func (h *HostLine) Update(text string) {
	h.reporter.send(event{Kind: hostUpdate, Host: h.name, Text: text})
}

// Progress says how many bytes of a copy are done.
func (h *HostLine) Progress(done, total int64) {
	h.reporter.send(event{Kind: hostProgress, Host: h.name, Done: done, Total: total})
}

// Done says what came of it.
func (h *HostLine) Done(text string) {
	h.reporter.send(event{Kind: hostDone, Host: h.name, Text: text})
}
