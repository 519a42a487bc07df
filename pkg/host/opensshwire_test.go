package host

import (
	"slices"
	"testing"
)

func TestOpenSSHOptions(t *testing.T) {
	users := map[string]any{
		"stricthostkeychecking":   "no", // comes too late: the first value counts
		"Compression":             true,
		"Ciphers":                 []any{"aes128-ctr", "aes256-ctr"},
		"HostKeyAlgorithms":       []any{"ssh-ed25519", "rsa-sha2-512"},
		"SendEnv":                 []any{"LANG", "LC_*"},
		"NumberOfPasswordPrompts": 0,
		"IdentityAgent":           nil,
	}
	got := opensshOptions(users, map[string]string{"StrictHostKeyChecking": "yes", "BatchMode": "yes"})
	want := []string{
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "Ciphers=aes128-ctr,aes256-ctr", "-o", "Compression=yes", "-o", "HostKeyAlgorithms=ssh-ed25519,rsa-sha2-512",
		"-o", "NumberOfPasswordPrompts=0", "-o", "SendEnv=LANG LC_*", "-o", "stricthostkeychecking=no",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
