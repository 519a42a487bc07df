package k0s

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const bearerSecret = "0123456789abcdef"

// joinKubeconfig is what k0s puts into a token (k0s v1.36.3, pkg/token/kubeconfig.go).
func joinKubeconfig(bearer string) string {
	return `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t
    server: https://10.10.4.10:9443
  name: k0s
contexts:
- context:
    cluster: k0s
    user: controller-bootstrap
  name: k0s
current-context: k0s
kind: Config
users:
- name: controller-bootstrap
  user:
    token: ` + bearer + "\n"
}

func packed(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = zip.Write([]byte(text))
	}
	if err = errors.Join(err, zip.Close()); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestParseToken(t *testing.T) {
	for _, bearer := range []string{"abc123." + bearerSecret, `"abc123.` + bearerSecret + `"`} {
		token, err := parseToken(packed(t, joinKubeconfig(bearer)))
		if err != nil || token.ID() != "abc123" {
			t.Errorf("%s: got %v, %v", bearer, token, err)
		}
	}
}

func TestBadTokensAreRefusedWithoutShowingThem(t *testing.T) {
	good := packed(t, joinKubeconfig("abc123."+bearerSecret))
	for name, text := range map[string]string{
		"empty":             "",
		"not base64":        "!" + bearerSecret,
		"not gzip":          base64.StdEncoding.EncodeToString([]byte(bearerSecret)),
		"cut off":           good[:len(good)/8*4],
		"no token":          packed(t, "users: "+bearerSecret),
		"not a bootstrap's": packed(t, joinKubeconfig("eyJhbGciOi."+bearerSecret)),
		"token beyond what is unpacked": packed(t, strings.Repeat("#", maxTokenSize)+"\n"+
			joinKubeconfig("abc123."+bearerSecret)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseToken(text)
			if err == nil {
				t.Fatal("it was taken")
			}
			if strings.Contains(err.Error(), bearerSecret) || text != "" && strings.Contains(err.Error(), text) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestNothingPrintsAToken(t *testing.T) {
	encoded := packed(t, joinKubeconfig("abc123."+bearerSecret))
	token, err := parseToken(encoded)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Open   Token
		hidden Token // fmt cannot call the methods of a field that is not exported
		list   []Token
	}
	for _, v := range []any{token, &token, holder{token, token, []Token{token}}, []Token{token}, map[string]Token{"a": token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%X", "%d", "%o"} {
			got := fmt.Sprintf(verb, v)
			for what, secret := range map[string]string{
				"token": encoded, "hexadecimal token": fmt.Sprintf("%x", encoded), "HEXADECIMAL token": fmt.Sprintf("%X", encoded),
				"bearer": bearerSecret,
			} {
				if strings.Contains(got, secret) {
					t.Errorf("%s of %T shows the %s: %s", verb, v, what, got)
				}
			}
		}
	}
	if got, err := json.Marshal(holder{Open: token}); err != nil || strings.Contains(string(got), encoded) {
		t.Errorf("JSON shows the token: %s, %v", got, err)
	}
	if got := fmt.Sprint(token); got != "token abc123" {
		t.Errorf("got %q", got)
	}
}

func TestTokenIsNeverInACommand(t *testing.T) {
	encoded := packed(t, joinKubeconfig("abc123."+bearerSecret))
	const (
		create     = "/usr/local/bin/k0s token create --role controller --expiry 15m0s --data-dir /data"
		invalidate = "/usr/local/bin/k0s token invalidate abc123 --data-dir /data"
		makeDir    = "mkdir -p /etc/k0s"
	)
	m := newMachine(t, map[string]answer{create: {output: encoded + "\n"}, invalidate: {}, makeDir: {}})
	node := &Node{Machine: m, DataDir: "/data"}
	token, err := node.CreateToken(t.Context(), "controller", 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.ClearToken(t.Context()); err != nil || len(m.files) > 0 {
		t.Errorf("where there is no token, there is none to clear: %v, %v", err, m.files)
	}
	if err := node.WriteToken(t.Context(), token); err != nil {
		t.Error(err)
	}
	if got, want := m.files[TokenPath], (file{encoded + "\n", 0o600}); got != want {
		t.Errorf("the token file is %+v", got)
	}
	if err := node.InvalidateToken(t.Context(), token); err != nil {
		t.Error(err)
	}
	if err := node.ClearToken(t.Context()); err != nil {
		t.Error(err)
	}
	// k0s refuses to start with an empty token file.
	if got := m.files[TokenPath]; got.data == "" || strings.Contains(got.data, encoded) || got.mode != 0o600 {
		t.Errorf("the token file is %+v", got)
	}
	m.expect(create, makeDir, invalidate)

	t.Run("errors", func(t *testing.T) {
		m := newMachine(t, map[string]answer{create: {output: "!" + encoded}, invalidate: {err: errBroken}, makeDir: {err: errBroken}})
		node := &Node{Machine: m, DataDir: "/data"}
		if _, err := node.CreateToken(t.Context(), "controller", 15*time.Minute); err == nil || strings.Contains(err.Error(), encoded) {
			t.Errorf("got %v", err)
		}
		if err := node.InvalidateToken(t.Context(), token); !errors.Is(err, errBroken) ||
			err.Error() != "invalidating token abc123: broken" {
			t.Errorf("got %v", err)
		}
		if err := node.WriteToken(t.Context(), token); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
		m.answers[invalidate] = answer{err: errors.New(`secrets "bootstrap-token-abc123" not found`)}
		if err := node.InvalidateToken(t.Context(), token); err != nil {
			t.Errorf("a token that is gone is no error: %v", err)
		}
		if err := node.WriteToken(t.Context(), Token{}); err == nil {
			t.Error("there is no token to write")
		}
	})
}

func FuzzParseToken(f *testing.F) {
	good := packed(f, joinKubeconfig("abc123."+bearerSecret))
	for _, seed := range []string{"", good, good[:40], "H4sI", packed(f, ""), packed(f, "token: a.b")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parseToken(text)
		if err != nil {
			if len(text) > 16 && strings.Contains(err.Error(), text) {
				t.Errorf("the error shows what was read: %v", err)
			}
			return
		}
		if len(token.ID()) != 6 || *token.encoded != text {
			t.Errorf("got ID %q", token.ID())
		}
	})
}

// The bearer inside is what a fuzzer does not find through gzip.
func FuzzParseTokenContent(f *testing.F) {
	f.Add(joinKubeconfig("abc123." + bearerSecret))
	f.Add("token: \"abc123." + bearerSecret + "\"")
	f.Add("\ttoken:abc123." + bearerSecret + "\r\n")
	f.Fuzz(func(t *testing.T, content string) {
		token, err := parseToken(packed(t, content))
		if err == nil && (len(token.ID()) != 6 || !strings.Contains(content, token.ID()+".")) {
			t.Errorf("got ID %q", token.ID())
		}
	})
}
