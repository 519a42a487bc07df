package kube

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube/kubetest"
)

// healthChecks is the user that the syncer makes certificates for (haproxy.ClientUser).
const healthChecks = "kubectl-ha-haproxy"

func TestAClientCertificateIsAskedForAlone(t *testing.T) {
	api := fake.NewClientset()
	kubetest.SignRequests(api, time.Hour)
	made, err := IssueClientCertificate(t.Context(), api.CertificatesV1().CertificateSigningRequests(), healthChecks)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _ := pem.Decode(made.Certificate)
	key, _ := pem.Decode(made.Key)
	if certificate == nil || certificate.Type != "CERTIFICATE" || key == nil || key.Type != "PRIVATE KEY" {
		t.Fatalf("%s", made.Certificate)
	}
	if leaf, err := x509.ParseCertificate(certificate.Bytes); err != nil || leaf.Subject.String() != "CN="+healthChecks {
		t.Errorf("%+v, %v", leaf, err)
	}
	list, err := api.CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	spec := list.Items[0].Spec
	if spec.SignerName != "kubernetes.io/kube-apiserver-client" || !slices.Equal(spec.Usages, []certificatesv1.KeyUsage{"client auth"}) || *spec.ExpirationSeconds != 31536000 {
		t.Errorf("%+v", spec)
	}
	if text, err := json.Marshal(list); err != nil || strings.Contains(string(text), strings.Split(string(made.Key), "\n")[1]) {
		t.Error("the key went to the API")
	}
}

func TestWhyThereIsNoClientCertificate(t *testing.T) {
	status := func(kind certificatesv1.RequestConditionType) clienttesting.ReactionFunc {
		return func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &certificatesv1.CertificateSigningRequest{Status: certificatesv1.CertificateSigningRequestStatus{
				Conditions: []certificatesv1.CertificateSigningRequestCondition{{Type: kind, Message: "too long"}},
			}}, nil
		}
	}
	fails := func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("no answer") }
	for name, c := range map[string]struct {
		verb   string
		answer clienttesting.ReactionFunc
		want   string
	}{
		"nobody signs": {"none", nil, "kube-controller-manager runs"},
		"it is denied": {"get", status(certificatesv1.CertificateDenied), "refused to sign it: too long"},
		"it fails":     {"get", status(certificatesv1.CertificateFailed), "refused to sign it: too long"},
		"it may not be looked at": {"get", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(certificatesv1.Resource("certificatesigningrequests"), "x", errors.New("no"))
		}, "forbidden"},
		"no request":  {"create", fails, "making a client certificate for kubectl-ha-haproxy: no answer"},
		"no approval": {"update", fails, "making a client certificate for kubectl-ha-haproxy: no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			api := fake.NewClientset()
			api.PrependReactor(c.verb, "*", c.answer)
			ctx := t.Context()
			if c.answer == nil {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			made, err := IssueClientCertificate(ctx, api.CertificatesV1().CertificateSigningRequests(), healthChecks)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want an error with %q", made, err, c.want)
			}
		})
	}
}

// TestThePolicyKnowsTheRequest compares what the manifests have the API look for with what the syncer sends.
func TestThePolicyKnowsTheRequest(t *testing.T) {
	policy, err := os.ReadFile("../../manifests/components/certificates/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	word := func(call string) string {
		t.Helper()
		found := regexp.MustCompile(`spec\.request\.` + call + `\('?(\w+=*)'?\)|spec\.request\.` + call + `\(\) == (\d+)`).FindStringSubmatch(string(policy))
		if found == nil {
			t.Fatalf("the policy has no %s", call)
		}
		return found[1] + found[2]
	}
	for range 100 {
		_, request, err := newClientRequest(healthChecks)
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(request)
		if fmt.Sprint(len(text)) != word("size") || !strings.HasPrefix(text, word("startsWith")) || !strings.HasSuffix(text, word("endsWith")) {
			t.Fatalf("%s", text)
		}
	}
	// A request for another user between the beginning and the end that are looked for, as PEM readers find it. API servers
	// refuse this one for its signature only.
	_, request, err := newClientRequest(healthChecks)
	if err != nil {
		t.Fatal(err)
	}
	from, to := 105, len(request)-len("-----END CERTIFICATE REQUEST-----\n")
	hidden := "\n-----END X\n-----BEGIN CERTIFICATE REQUEST-----\n" +
		"MD8wMwIBADAQMQ4wDAYDVQQDEwVhZG1pbjAaMA0GCSqGSIb3DQEBAQUAAwkAMAYCAX8CAQOgADAFBgMrZXADAQA=\n"
	hidden += strings.Repeat("\n", to-from-len(hidden))
	block, _ := pem.Decode(slices.Concat(request[:from], []byte(hidden), request[to:]))
	if parsed, err := x509.ParseCertificateRequest(block.Bytes); err != nil || parsed.Subject.CommonName != "admin" {
		t.Fatalf("%+v, %v", parsed, err)
	}
	excluded := regexp.MustCompile(`!variables\.spec\.request\.substring\(48, 336\)\.contains\('(\w+)'\)`).FindSubmatch(policy)
	if excluded == nil || !strings.Contains(base64.StdEncoding.EncodeToString([]byte(hidden)), string(excluded[1])) {
		t.Errorf("the policy excludes %s", excluded)
	}
	// All up to the key is in what it begins with: whatever else it may be for.
	start, err := base64.StdEncoding.DecodeString(word("startsWith"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.ReplaceAll(string(start), "\n", ""), "-----BEGIN CERTIFICATE REQUEST-----"))
	if err != nil || !strings.HasSuffix(string(der), "\x06\x03\x2b\x65\x70\x03\x21\x00") {
		t.Errorf("%x, %v", der, err)
	}
}
