// Package joinapi is k0s's controller join API on port 9443 and its client.
package joinapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/jointoken"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/member"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// CAResponse is the answer to GET /v1beta1/ca.
type CAResponse struct {
	Key   []byte `json:"key"`
	Cert  []byte `json:"cert"`
	SAKey []byte `json:"saKey"`
	SAPub []byte `json:"saPub"`
}

// MemberRequest is the body of POST /v1beta1/etcd/members.
type MemberRequest struct {
	Node        string `json:"node"`
	PeerAddress string `json:"peerAddress"`
}

// MemberResponse is its answer: etcd's authority, and the cluster that the new
// member must be started with.
type MemberResponse struct {
	CA             CAResponse `json:"ca"`
	InitialCluster []string   `json:"initialCluster"`
}

// Server answers the join API.
type Server struct {
	Vars   *vars.Vars
	Config *clusterconfig.Config
	Client kubernetes.Interface
	Log    *slog.Logger

	http *http.Server
}

// Start listens and serves until Stop.
func (s *Server) Start() error {
	certificate, err := tls.LoadX509KeyPair(s.Vars.Cert("k0s-api"), s.Vars.Key("k0s-api"))
	if err != nil {
		return fmt.Errorf("reading the join API's certificate: %w", err)
	}
	host := s.Config.Spec.API.ExtraArgs["bind-address"]
	if host == "" && s.Config.Spec.API.OnlyBindToAddress {
		host = s.Config.Spec.API.Address
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(s.Config.Spec.API.K0sAPIPort)))
	if err != nil {
		return fmt.Errorf("listening for joining controllers: %w", err)
	}
	s.http = &http.Server{
		Handler:      s.handler(),
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadTimeout:  15 * time.Second,
		WriteTimeout: 15 * time.Second,
		ErrorLog:     slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := s.http.ServeTLS(listener, "", ""); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.Log.Error("serving", "err", err)
		}
	}()
	return nil
}

// Stop ends open requests within three seconds.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return s.http.Shutdown(ctx)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1beta1/ca", s.authenticated(s.sendCA))
	if s.Config.Spec.Storage.Type == "etcd" {
		mux.Handle("POST /v1beta1/etcd/members", s.authenticated(s.addMember))
	}
	return mux
}

func (s *Server) authenticated(next func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !s.mayJoin(r.Context(), token) {
			s.fail(w, r, http.StatusUnauthorized, errors.New("go away"))
			return
		}
		answer, err := next(r)
		if err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			s.Log.Error("answering", "err", err)
		}
	})
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, code int, err error) {
	s.Log.Error("refused", "path", r.URL.Path, "from", r.RemoteAddr, "err", err)
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(err.Error()))
}

// mayJoin checks a token against the cluster's own Secrets.
func (s *Server) mayJoin(ctx context.Context, token string) bool {
	bearer, err := jointoken.ParseBearer(token)
	if err != nil {
		return false
	}
	secret, err := s.Client.CoreV1().Secrets(metav1.NamespaceSystem).Get(ctx, jointoken.SecretName(bearer.ID), metav1.GetOptions{})
	if err != nil {
		if !apierrors.IsNotFound(err) {
			s.Log.Error("reading the token's Secret", "err", err)
		}
		return false
	}
	return bearer.MayJoinController(secret, time.Now())
}

func (s *Server) sendCA(*http.Request) (any, error) {
	var answer CAResponse
	err := readAll(map[string]*[]byte{
		s.Vars.Key("ca"):  &answer.Key,
		s.Vars.Cert("ca"): &answer.Cert,
		s.Vars.Key("sa"):  &answer.SAKey,
		filepath.Join(s.Vars.CertRootDir, "sa.pub"): &answer.SAPub,
	})
	return answer, err
}

func (s *Server) addMember(r *http.Request) (any, error) {
	var request MemberRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	switch {
	case request.Node == "":
		return nil, errors.New("node cannot be empty")
	case request.PeerAddress == "":
		return nil, errors.New("peerAddress cannot be empty")
	}
	s.Log.Info("adding a learner", "node", request.Node, "peer", request.PeerAddress)
	etcd, err := member.Connect(s.Vars)
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	var answer MemberResponse
	if answer.InitialCluster, err = etcd.AddLearner(r.Context(), request.Node, request.PeerAddress); err != nil {
		return nil, err
	}
	err = readAll(map[string]*[]byte{
		s.Vars.Key("etcd/ca"):  &answer.CA.Key,
		s.Vars.Cert("etcd/ca"): &answer.CA.Cert,
	})
	return answer, err
}

func readAll(files map[string]*[]byte) error {
	for path, content := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		*content = data
	}
	return nil
}
