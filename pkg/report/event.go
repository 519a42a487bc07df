package report

import (
	"encoding/json"
	"io"
	"time"
)

type kind string

const (
	stepStarted  kind = "step-started"
	stepSkipped  kind = "step-skipped"
	stepDone     kind = "step-done"
	stepFailed   kind = "step-failed"
	stepUndone   kind = "step-undone"
	hostUpdate   kind = "host"
	hostDone     kind = "host-done"
	hostProgress kind = "progress"
	warning      kind = "warning"
	info         kind = "info"
)

// event is one thing that happened; its JSON form is documented in doc.go.
type event struct {
	Time    time.Time `json:"time"`
	Kind    kind      `json:"event"`
	Step    int       `json:"step,omitempty"`
	Of      int       `json:"of,omitempty"`
	Title   string    `json:"title,omitempty"`
	Seconds float64   `json:"seconds,omitempty"`
	Host    string    `json:"host,omitempty"`
	Text    string    `json:"text,omitempty"`
	Error   string    `json:"error,omitempty"`
	Done    int64     `json:"done,omitempty"`
	Total   int64     `json:"total,omitempty"`
}

// jsonView writes one object a line.
type jsonView struct {
	encoder *json.Encoder
	// told is when the progress of each host was last written.
	told map[string]time.Time
}

func newJSONView(out io.Writer) *jsonView {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &jsonView{encoder: encoder, told: map[string]time.Time{}}
}

// show cannot report an error: who reads progress may leave, and the work goes on.
func (v *jsonView) show(e event) {
	if e.Kind == hostProgress {
		if e.Done < e.Total && e.Time.Sub(v.told[e.Host]) < time.Second {
			return
		}
		v.told[e.Host] = e.Time
	}
	_ = v.encoder.Encode(e)
}

func (v *jsonView) suspend() {}

func (v *jsonView) resume() {}

func (v *jsonView) close() error { return nil }
