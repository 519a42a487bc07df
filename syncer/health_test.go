package syncer

import (
	"strings"
	"testing"
	"time"
)

func TestAHangingLookIsNotAlive(t *testing.T) {
	var h health
	start := time.Now()
	if err := h.alive(start); err != nil {
		t.Errorf("before anything: %v", err)
	}
	endOne := h.begin("one:22", start)
	endTwo := h.begin("two:22", start.Add(time.Minute))
	if err := h.alive(start.Add(stuckAfter)); err != nil {
		t.Errorf("within its time: %v", err)
	}
	if err := h.alive(start.Add(stuckAfter + time.Second)); err == nil || !strings.Contains(err.Error(), "looking at one:22: it has not ended for 3m1s") {
		t.Errorf("after its time: %v", err)
	}
	endOne()
	if err := h.alive(start.Add(stuckAfter + time.Second)); err != nil {
		t.Errorf("the other one is within its time: %v", err)
	}
	endTwo()
	if err := h.alive(start.Add(time.Hour)); err != nil {
		t.Errorf("all have ended: %v", err)
	}
}
