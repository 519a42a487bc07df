package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// hosts reads spec.hosts.
func (p *parser) hosts(v value, c *Cluster) {
	for _, item := range v.items() {
		c.Hosts = append(c.Hosts, p.host(item, c))
	}
}

// host reads one entry of spec.hosts.
func (p *parser) host(v value, c *Cluster) *Host {
	f := v.fields("ssh", "openSSH", "localhost", "winRM", "winrm", "role", "noTaints", "privateInterface", "privateAddress",
		"dataDir", "kubeletRootDir", "environment", "uploadBinary", "useExistingK0s", "k0sBinaryPath", "k0sDownloadURL",
		"k0sInstallPath", "installFlags", "files", "hostname", "hooks", "os", "reset")
	p.notUsed(f, "os", "k0sInstallPath")
	if reset := f.at("reset"); reset.boolean() {
		reset.fail("this tool adds hosts only: take the host out with kubectl ha-eject, or remove the line")
	}
	h := &Host{
		Conn:             p.connection(f),
		Role:             p.role(f.at("role")),
		NoTaints:         f.at("noTaints").boolean(),
		PrivateInterface: p.interfaceName(f.at("privateInterface")),
		PrivateAddress:   p.peerAddress(f.at("privateAddress")),
		DataDir:          p.stateDir(f.at("dataDir")),
		KubeletRootDir:   p.stateDir(f.at("kubeletRootDir")),
		Environment:      p.environment(f.at("environment")),
		UploadBinary:     f.at("uploadBinary").boolean(),
		UseExistingK0s:   f.at("useExistingK0s").boolean(),
		K0sBinaryPath:    p.local(f.at("k0sBinaryPath")),
		K0sDownloadURL:   p.downloadURL(f.at("k0sDownloadURL")),
		Files:            p.files(f.at("files")),
		Hostname:         p.hostname(f.at("hostname")),
		Hooks:            p.hooks(f.at("hooks")),
		Line:             v.line,
	}
	p.installFlags(f, h, c)
	if h.NoTaints && h.Role != RoleControllerWorker && h.Role != "" {
		failNoTaints(f.at("noTaints"), h.Role)
	}
	if h.UseExistingK0s {
		for _, name := range []string{"uploadBinary", "k0sBinaryPath", "k0sDownloadURL"} {
			if other := f.at(name); other.present() && (name != "uploadBinary" || h.UploadBinary) {
				other.fail("contradicts useExistingK0s, by which the host has its k0s already: remove one of the two")
			}
		}
	}
	return h
}

func (p *parser) role(v value) Role {
	v.ask(form{kind: formWord, words: []string{string(RoleController), string(RoleControllerWorker), string(RoleWorker)}})
	s, ok := v.required("write controller, controller+worker or worker")
	if !ok {
		return ""
	}
	switch role := Role(s); role {
	case RoleController, RoleControllerWorker, RoleWorker:
		return role
	case RoleSingle:
		failSingle(v)
	default:
		v.fail("%q is no role: write controller, controller+worker or worker", s)
	}
	return ""
}

func failNoTaints(v value, role Role) {
	v.fail("a host of role %s has no taints to leave out: write role controller+worker, or remove it", role)
}

func failSingle(v value) {
	v.fail("a single node cannot grow into a highly available cluster: write role controller+worker with noTaints: true, " +
		"which runs workloads beside the control plane just the same")
}

func (p *parser) interfaceName(v value) string {
	s := v.str()
	if s != "" && !regexp.MustCompile(`^[^\s/]{1,15}$`).MatchString(s) {
		v.fail("%q is no network interface: write a name such as eth0", s)
	}
	return s
}

func (p *parser) peerAddress(v value) string {
	s := withoutBrackets(v.str())
	if s == "" {
		return ""
	}
	if err := checkPeer(s); err != nil {
		v.fail("%v", err)
		return ""
	}
	return canonical(s)
}

// stateDir reads a directory that k0s owns; k0s reset empties it.
func (p *parser) stateDir(v value) string {
	s := p.remote(v)
	if strings.Trim(s, "/.") == "" && s != "" {
		v.fail("%q would give k0s the whole machine: write a directory of its own", s)
	}
	return s
}

func (p *parser) hostname(v value) string {
	s := v.str()
	if s != "" && (!isHostName(s) || strings.HasSuffix(s, ".")) {
		v.fail("%q is no host name: use letters, digits, dots and dashes", s)
	}
	return s
}

func (p *parser) downloadURL(v value) string {
	s := v.str()
	if s == "" {
		return ""
	}
	// k0sctl's tokens (%v and so on) are no percent-encoding.
	u, err := url.Parse(strings.ReplaceAll(s, "%", ""))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		v.fail("not a web address: write one that begins with https://")
	}
	return s
}

func (p *parser) environment(v value) map[string]string {
	v.ask(form{kind: formMap})
	entries := v.entries()
	if len(entries) == 0 {
		return nil
	}
	environment := make(map[string]string, len(entries))
	for _, e := range entries {
		if variableName(e.name) != e.name {
			e.fail("%q is no name of an environment variable: use letters, digits and underscores", e.name)
		}
		environment[e.name] = e.str()
		if strings.ContainsAny(environment[e.name], "\n\r") {
			e.fail("the value has several lines: write it in one")
		}
	}
	return environment
}

// hooks reads commands by action and stage.
func (p *parser) hooks(v value) Hooks {
	stages := map[string][]string{
		"apply": {"before", "after"}, "connect": {"after"}, "upgrade": {"before", "after"},
		"install": {"before", "after"}, "backup": {"before", "after"}, "reset": {"before", "after"},
	}
	actions := v.fields("apply", "connect", "upgrade", "install", "backup", "reset")
	if len(actions.entries) == 0 {
		return nil
	}
	hooks := Hooks{}
	for name, action := range actions.entries {
		hooks[name] = map[string][]string{}
		f := action.fields(stages[name]...)
		for stage, commands := range f.entries {
			hooks[name][stage] = commands.texts()
		}
		if name != "apply" {
			action.warn("these hooks are not run here: only those of apply are")
		}
	}
	return hooks
}

func (p *parser) files(v value) []UploadFile {
	var files []UploadFile
	for _, item := range v.items() {
		files = append(files, p.uploadFile(item))
	}
	return files
}

func (p *parser) uploadFile(v value) UploadFile {
	f := v.fields("name", "src", "data", "dst", "dstDir", "perm", "dirPerm", "user", "group")
	u := UploadFile{
		Name:    f.at("name").str(),
		Source:  f.at("src").str(),
		Data:    f.at("data").str(),
		Dst:     p.remote(f.at("dst")),
		DstDir:  p.remote(f.at("dstDir")),
		Perm:    p.permissions(f.at("perm")),
		DirPerm: p.permissions(f.at("dirPerm")),
		User:    p.owner(f.at("user")),
		Group:   p.owner(f.at("group")),
		Line:    v.line,
	}
	switch {
	case f.lost:
		return u
	case u.Source == "" && u.Data == "":
		v.fail("a file needs its content: write src or data")
	case u.Source != "" && u.Data != "":
		f.at("data").fail("contradicts src: remove one of the two")
	case !u.IsURL():
		u.Source = p.local(f.at("src"))
	}
	switch {
	case u.Dst == "" && u.DstDir == "":
		v.fail("a file needs a place on the host: write dst or dstDir")
	case u.Dst == "" && u.Data != "" && u.Name == "":
		f.at("data").fail("has no file name: write dst, or name besides dstDir")
	}
	return u
}

// IsURL reports whether the host is to fetch the source by itself.
func (u UploadFile) IsURL() bool { return strings.Contains(u.Source, "://") }

// permissions reads an octal number. YAML reads 0644 as octal and 644 as decimal; the latter is a mistake.
func (p *parser) permissions(v value) string {
	v.ask(form{kind: formText})
	text, tag, ok := v.scalar()
	if !ok || tag == "!!null" || text == "" {
		return ""
	}
	digits := strings.TrimPrefix(text, "0o")
	mode, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || mode > 0o7777 || len(digits) < 3 || tag == "!!int" && !strings.HasPrefix(text, "0") {
		v.fail("%q are no file permissions: write an octal number such as 0644", text)
		return ""
	}
	return fmt.Sprintf("%04o", mode)
}

func (p *parser) owner(v value) string {
	s := v.str()
	if s != "" && !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`).MatchString(s) {
		v.fail("%q is no name of a user or group: correct it", s)
	}
	return s
}
