package supervise

import (
	"bytes"
	"log/slog"
)

// lines logs what is written to it, line by line.
type lines struct {
	log  *slog.Logger
	rest []byte
}

func (l *lines) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte{'\n'})
		if !found {
			return len(data), nil
		}
		l.rest = rest
		if line = bytes.TrimRight(line, "\r"); len(line) > 0 {
			l.log.Info(string(line))
		}
	}
}
