package config

import (
	"strconv"
	"strings"
)

// flagWord is a word of installFlags and the list item it is from.
type flagWord struct {
	text string
	item value
}

// installFlags reads the flags for k0s install as words, and moves those that a field of the host expresses there,
// as k0sctl does.
func (p *parser) installFlags(f fields, h *Host, c *Cluster) {
	var words []flagWord
	for _, item := range f.at("installFlags").items() {
		text, ok := item.required("write a flag, or remove the dash")
		if !ok {
			continue
		}
		split, err := splitWords(text)
		if err != nil {
			item.fail("%v", err)
			continue
		}
		for _, word := range split {
			words = append(words, flagWord{word, item})
		}
	}
	for len(words) > 0 {
		words = p.installFlag(words, f, h, c)
	}
}

// installFlag takes the first flag and its value from the words and returns the rest.
func (p *parser) installFlag(words []flagWord, f fields, h *Host, c *Cluster) []flagWord {
	word := words[0]
	rest := words[1:]
	if !strings.HasPrefix(word.text, "-") || strings.Trim(word.text, "-") == "" {
		word.item.fail("%q is no flag: begin it with --", word.text)
		return rest
	}
	name, text, hasText := strings.Cut(word.text, "=")
	var next []string // the value, where it is a word of its own
	if !hasText && len(rest) > 0 && !strings.HasPrefix(rest[0].text, "-") {
		text, next = rest[0].text, []string{rest[0].text}
	}
	switch name {
	case "--single", "--enable-worker", "--no-taints", "--enable-dynamic-config", "--force":
		p.switchFlag(word, name, text, hasText, f, h, c)
		return rest
	case "--data-dir", "--kubelet-root-dir", "--config", "-c", "--token-file":
		p.pathFlag(word, name, text, f, h)
	default:
		h.InstallFlags = append(append(h.InstallFlags, word.text), next...)
	}
	return rest[len(next):]
}

// switchFlag acts on flags that are true or false.
func (p *parser) switchFlag(word flagWord, name, text string, hasText bool, f fields, h *Host, c *Cluster) {
	on := true
	if hasText {
		var err error
		if on, err = strconv.ParseBool(text); err != nil {
			word.item.fail("%s is neither true nor false: write %s alone", word.text, name)
			return
		}
	}
	if !on {
		return
	}
	switch name {
	case "--single":
		p.failSingle(word.item)
	case "--enable-worker":
		switch h.Role {
		case RoleController:
			h.Role = RoleControllerWorker
		case RoleWorker:
			word.item.fail("--enable-worker is for controllers: write role controller+worker, or remove the flag")
		}
	case "--no-taints":
		h.NoTaints = true
		if h.Role == RoleController || h.Role == RoleWorker {
			word.item.fail("a host of role %s has no taints to leave out: write role controller+worker, or remove the flag", h.Role)
			h.NoTaints = f.at("noTaints").boolean()
		}
	case "--enable-dynamic-config":
		c.K0s.DynamicConfig = true
	case "--force":
		word.item.warn("--force is left out: where a unit must be rewritten, that is found out")
	}
}

// pathFlag acts on flags that name a path.
func (p *parser) pathFlag(word flagWord, name, text string, f fields, h *Host) {
	if text == "" {
		word.item.fail("%s has no value: write %s=PATH", name, name)
		return
	}
	switch name {
	case "--data-dir":
		p.dirFlag(word, name, text, &h.DataDir, f.at("dataDir"))
	case "--kubelet-root-dir":
		p.dirFlag(word, name, text, &h.KubeletRootDir, f.at("kubeletRootDir"))
	case "--token-file":
		word.item.warn("--token-file is left out: join tokens get a file of their own and are removed after use")
	default:
		if text != "/etc/k0s/k0s.yaml" {
			word.item.fail("k0s's configuration is written to /etc/k0s/k0s.yaml, the only place k0s token and k0s etcd "+
				"look for it: remove %s", name)
		}
	}
}

func (p *parser) dirFlag(word flagWord, name, text string, dir *string, field value) {
	switch {
	case *dir != "" && *dir != text:
		word.item.fail("%s contradicts line %d, which says %s: remove one of the two", name, field.line, *dir)
	case !strings.HasPrefix(text, "/") || strings.Trim(text, "/.") == "":
		word.item.fail("%s: %q is no absolute path of a directory for k0s: correct it", name, text)
	default:
		*dir = text
	}
}

// Labels returns the labels that the host's install flags give to its Node.
func (h *Host) Labels() map[string]string {
	labels := map[string]string{}
	for i, word := range h.InstallFlags {
		text, found := strings.CutPrefix(word, "--labels=")
		if !found && word == "--labels" && i+1 < len(h.InstallFlags) {
			text, found = h.InstallFlags[i+1], true
		}
		if !found {
			continue
		}
		for pair := range strings.SplitSeq(text, ",") {
			if name, label, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
				labels[name] = label
			}
		}
	}
	return labels
}
