package k0s

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestNewControllerToken(t *testing.T) {
	const url = "https://[fd00::10]:9443"
	token, err := NewControllerToken(url, []byte("authority"))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := base64.StdEncoding.DecodeString(*token.encoded)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.Load(text)
	if err != nil {
		t.Fatal(err)
	}
	current := config.Contexts[config.CurrentContext]
	cluster, user := config.Clusters[current.Cluster], config.AuthInfos[current.AuthInfo]
	if cluster.Server != url || string(cluster.CertificateAuthorityData) != "authority" || current.AuthInfo != "controller-bootstrap" {
		t.Errorf("got %+v of %+v", current, cluster)
	}
	if user.Token != token.ID()+"."+token.Secret() || !regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`).MatchString(user.Token) {
		t.Error("the bearer token is none that Kubernetes takes")
	}
	if said := fmt.Sprintf("%v %+v %#v", token, token, token); strings.Contains(said, token.Secret()) {
		t.Errorf("it shows its secret: %s", said)
	}
	if other, err := NewControllerToken(url, nil); err != nil || other.ID() == token.ID() || other.Secret() == token.Secret() {
		t.Errorf("a second one is the same: %v", err)
	}
}
