package haproxy

import (
	"strings"
	"testing"
)

func TestSecretsAreNotShown(t *testing.T) {
	for line, want := range map[string]string{
		"    stats auth admin:hunter2":                               "    stats auth ***",
		"\tstats auth admin:hunter2\r":                               "\tstats auth ***\r",
		"  user bob insecure-password hunter2 groups ops":            "  user bob insecure-password ***",
		"  user bob password $5$hunter2":                             "  user bob password ***",
		"  cluster-secret hunter2":                                   "  cluster-secret ***",
		`  http-check send hdr Authorization "Basic hunter2"`:        `  http-check send hdr Authorization ***`,
		`  option httpchk GET / HTTP/1.1\r\nAuthorization:\ hunter2`: `  option httpchk GET / HTTP/1.1\r\nAuthorization:\ ***`,
		`  http-request set-header X-Api-Key hunter2`:                `  http-request set-header X-Api-Key ***`,
		`  tcp-check send AUTH\ hunter2\r\n`:                         `  tcp-check send AUTH\ ***`,
		`  tcp-check send "AUTH hunter2"`:                            `  tcp-check send "AUTH ***`,
		"  setenv LB_PASS hunter2":                                   "  setenv LB_PASS ***",
		"  presetenv LB_PASS hunter2 # here":                         "  presetenv LB_PASS ***",
		"  http-request redirect location https://u:hunter2@host/":   "  http-request redirect location https://***@host/",
		"# the password: hunter2":                                    "# the password: ***",

		"    server cp1 10.10.0.2:6443 check":          "    server cp1 10.10.0.2:6443 check",
		"    cookie SRV insert indirect":               "    cookie SRV insert indirect",
		"    stats socket /run/s mode 600 level admin": "    stats socket /run/s mode 600 level admin",
		"    stats realm auth":                         "    stats realm auth",
		"":                                             "",
	} {
		if got := string(redact([]byte(line))); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
	}
}

// What a plan shows has a user's secrets neither as context nor as what changes.
func TestADiffHidesSecrets(t *testing.T) {
	before := "global\n    stats auth admin:hunter2\n    maxconn 10\n"
	after := strings.Replace(before, "maxconn 10", "maxconn 20", 1)
	p := &Plan{cur: &Current{Config: []byte(before)}, after: []byte(after)}
	if diff := p.Diff(); strings.Contains(diff, "hunter2") || !strings.Contains(diff, "+    maxconn 20") {
		t.Errorf("shown:\n%s", diff)
	}
}
