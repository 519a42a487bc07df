package k0s

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"
)

// Token lets a host join. It is a secret: nothing prints it.
type Token struct {
	encoded *string // behind a pointer, which fmt does not follow even where it cannot call String
	id      string
	secret  *string
}

// ID is the public part, by which `k0s token invalidate` knows it.
func (t Token) ID() string { return t.id }

// Secret is the other part, which the cluster compares with what a host shows.
func (t Token) Secret() string { return *t.secret }

// String keeps the secret out of logs.
func (t Token) String() string { return "token " + t.id }

// GoString keeps the secret out of logs, too.
func (t Token) GoString() string { return t.String() }

// CreateToken makes a token for "controller" or "worker" that is valid for the time given.
func (n *Node) CreateToken(ctx context.Context, role string, expiry time.Duration) (Token, error) {
	out, err := n.runIn(ctx, "token", "create", "--role", role, "--expiry", expiry.String())
	if err != nil {
		return Token{}, fmt.Errorf("creating a %s token: %w", role, err)
	}
	token, err := parseToken(strings.TrimSpace(out))
	if err != nil {
		return Token{}, fmt.Errorf("creating a %s token: %w", role, err)
	}
	return token, nil
}

// controllerUser is the user in the kubeconfig of a token for controllers, by which k0s tells such tokens from others.
const controllerUser = "controller-bootstrap"

// NewControllerToken makes a token by which a controller joins at the URL of the join API. The cluster takes it once it
// knows its ID and its secret. The kubeconfig within is as k0s writes it (k0s v1.36.3, pkg/token).
func NewControllerToken(url string, ca []byte) (Token, error) {
	random := strings.ToLower(rand.Text() + rand.Text()) // of the letters and digits that Kubernetes takes
	kubeconfig := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: k0s
  cluster:
    server: "%s"
    certificate-authority-data: %s
contexts:
- name: k0s
  context:
    cluster: k0s
    user: %[3]s
current-context: k0s
users:
- name: %[3]s
  user:
    token: "%[4]s.%[5]s"
`, url, base64.StdEncoding.EncodeToString(ca), controllerUser, random[:6], random[6:22])
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := zip.Write([]byte(kubeconfig))
	if err = errors.Join(err, zip.Close()); err != nil {
		return Token{}, fmt.Errorf("creating a controller token: %w", err)
	}
	return parseToken(base64.StdEncoding.EncodeToString(packed.Bytes()))
}

// InvalidateToken makes the token useless; one that has expired already is no error.
func (n *Node) InvalidateToken(ctx context.Context, token Token) error {
	if _, err := n.runIn(ctx, "token", "invalidate", token.id); err != nil && !strings.Contains(err.Error(), "not found") {
		return fmt.Errorf("invalidating %s: %w", token, err)
	}
	return nil
}

// WriteToken puts the token on the host, readable for root alone.
func (n *Node) WriteToken(ctx context.Context, token Token) error {
	if _, err := n.Machine.Output(ctx, "mkdir -p "+path.Dir(TokenPath), nil); err != nil {
		return fmt.Errorf("writing the join token: %w", err)
	}
	if token.encoded == nil {
		return errors.New("writing the join token: there is none")
	}
	if err := n.Machine.WriteFile(ctx, TokenPath, []byte(*token.encoded+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the join token: %w", err)
	}
	return nil
}

// UsedTokenNote is what stands in the token file once the token has been used. k0s reads the file at every start, so it
// has to stay, and ignores what it says on a host that has joined.
const UsedTokenNote = "# the join token was used and removed\n"

// HasToken tells whether a token that WriteToken wrote is still on the host.
func (n *Node) HasToken(ctx context.Context) (bool, error) {
	data, err := n.Machine.ReadFile(ctx, TokenPath)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a join token: %w", err)
	}
	return string(data) != UsedTokenNote, nil
}

// ClearToken overwrites the token on the host, if it has one.
func (n *Node) ClearToken(ctx context.Context) error {
	if _, err := n.Machine.ReadFile(ctx, TokenPath); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := n.Machine.WriteFile(ctx, TokenPath, []byte(UsedTokenNote), 0o600); err != nil {
		return fmt.Errorf("overwriting the join token: %w", err)
	}
	return nil
}

// tokenPattern finds the bearer token "id.secret" of a bootstrap token
// (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/) in the token's kubeconfig.
var tokenPattern = regexp.MustCompile(`(?m)^\s*token:\s*"?([a-z0-9]{6})\.([a-z0-9]{16})"?\s*$`)

// maxTokenSize bounds what a token may unpack to; a real one has about 2 kB.
const maxTokenSize = 1 << 20

// parseToken unpacks a token: base64 of a gzipped kubeconfig.
func parseToken(encoded string) (Token, error) {
	packed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return Token{}, errors.New("reading the token: k0s gave something that is not base64")
	}
	unzip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return Token{}, fmt.Errorf("reading the token: %w", err)
	}
	kubeconfig, err := io.ReadAll(io.LimitReader(unzip, maxTokenSize))
	if err != nil {
		return Token{}, fmt.Errorf("reading the token: %w", err)
	}
	match := tokenPattern.FindSubmatch(kubeconfig)
	if match == nil {
		return Token{}, errors.New("reading the token: it holds no bootstrap token")
	}
	secret := string(match[2])
	return Token{encoded: &encoded, id: string(match[1]), secret: &secret}, nil
}
