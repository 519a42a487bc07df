package etcd

import (
	"context"
	"errors"
	"testing"
	"time"
)

type viewerFunc func(ctx context.Context) (View, error)

func (f viewerFunc) View(ctx context.Context) (View, error) { return f(ctx) }

func TestAsk(t *testing.T) {
	broken := errors.New("broken")
	answers := viewerFunc(func(context.Context) (View, error) { return View{Status: Status{ID: 1}}, nil })
	hangs := viewerFunc(func(ctx context.Context) (View, error) {
		<-ctx.Done()
		return View{}, ctx.Err()
	})
	for name, c := range map[string]struct {
		had      Viewer
		connects Viewer
		err      error
		says     string
		kept     bool // there is a client for the next time
	}{
		"first":               {nil, answers, nil, "", true},
		"again":               {answers, nil, nil, "", true},
		"no way":              {nil, nil, broken, "broken", false},
		"it fails":            {viewerFunc(func(context.Context) (View, error) { return View{}, broken }), nil, nil, "broken", true},
		"it does not answer":  {hangs, nil, nil, "no answer within 10ms", true},
		"nor when it was new": {nil, hangs, nil, "no answer within 10ms", true},
	} {
		client := c.had
		view, err := Ask(t.Context(), 10*time.Millisecond, &client, func(context.Context) (Viewer, error) { return c.connects, c.err })
		switch {
		case c.says == "" && (err != nil || view.Status.ID != 1):
			t.Errorf("%s: got %+v, %v", name, view, err)
		case c.says != "" && (err == nil || err.Error() != c.says):
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
		if (client != nil) != c.kept {
			t.Errorf("%s: the client is %v", name, client)
		}
	}
}
