package report

import "fmt"

// Mode says how progress is shown. It is a flag value.
type Mode string

// The modes. ModeAuto means ModeTTY on a terminal and ModePlain elsewhere.
const (
	ModeAuto  Mode = "auto"
	ModeTTY   Mode = "tty"
	ModePlain Mode = "plain"
	ModeJSON  Mode = "json"
)

// Set reads a flag's value.
func (m *Mode) Set(text string) error {
	switch mode := Mode(text); mode {
	case ModeAuto, ModeTTY, ModePlain, ModeJSON:
		*m = mode
		return nil
	}
	return fmt.Errorf("want auto, tty, plain or json")
}

func (m *Mode) String() string { return string(*m) }

// Type names the value in a command's help.
func (m *Mode) Type() string { return "mode" }
