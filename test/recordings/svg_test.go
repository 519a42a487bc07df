package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
	"github.com/kubectl-ha/kubectl-ha/test/terminal"
)

func TestARecordingShowsWhatHappened(t *testing.T) {
	screen := terminal.NewScreen(columns, rows)
	var frames []frame
	for _, moment := range []struct {
		at   time.Duration
		text string
	}{
		{0, "$ kubectl ha-init\r\n"},
		{time.Second, "\x1b[36m|\x1b[0m Copy\r\n"},
		{1100 * time.Millisecond, "\x1b[1A\r\x1b[J/ Copy <&>\r\n"},
		{9 * time.Second, "\x1b[1A\r\x1b[J\x1b[32m✓\x1b[0m Copy\r\n\r\n$ "},
	} {
		if _, err := screen.Write([]byte(moment.text)); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame{moment.at, screen.Cells()})
	}
	film := shots(frames)
	golden.Compare(t, "recording", svg(film))
	if len(film) != 3 || film[1].lasts != most || film[2].lasts != last {
		t.Errorf("%d shots, want what came at once to be one, and nobody to wait long", len(film))
	}
}

// The recordings that the documentation shows are whole, small, and need nothing from outside.
func TestTheRecordings(t *testing.T) {
	paths, err := filepath.Glob("../../docs/recordings/*.svg")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are none: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 300_000 {
			t.Errorf("%s has %d bytes, more than 300,000", path, len(data))
		}
		text := strings.Replace(string(data), `xmlns="http://www.w3.org/2000/svg"`, "", 1)
		for _, outside := range []string{"url(", "@import", "<image", "<script", `href="http`} {
			if strings.Contains(text, outside) {
				t.Errorf("%s has %s", path, outside)
			}
		}
		decoder := xml.NewDecoder(strings.NewReader(string(data)))
		for err == nil {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
