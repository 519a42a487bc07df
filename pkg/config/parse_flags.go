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
	r := flagReader{f, h, c}
	for len(words) > 0 {
		words = r.next(words)
	}
}

// flagReader gives the install flags of one host to the host and the cluster.
type flagReader struct {
	fields  fields // of the host's entry
	host    *Host
	cluster *Cluster
}

// next takes the first flag and its value from the words and returns the rest.
func (r flagReader) next(words []flagWord) []flagWord {
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
		r.switchFlag(word, name, text, hasText)
		return rest
	case "--data-dir", "--kubelet-root-dir", "--config", "-c", "--token-file":
		r.pathFlag(word, name, text)
	default:
		r.host.InstallFlags = append(append(r.host.InstallFlags, word.text), next...)
	}
	return rest[len(next):]
}

// switchFlag acts on flags that are true or false.
func (r flagReader) switchFlag(word flagWord, name, text string, hasText bool) {
	h := r.host
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
		failSingle(word.item)
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
			failNoTaints(word.item, h.Role)
			h.NoTaints = r.fields.at("noTaints").boolean()
		}
	case "--enable-dynamic-config":
		r.cluster.K0s.DynamicConfig = true
	case "--force":
		word.item.warn("--force is left out: where a unit must be rewritten, that is found out")
	}
}

// pathFlag acts on flags that name a path.
func (r flagReader) pathFlag(word flagWord, name, text string) {
	if text == "" {
		word.item.fail("%s has no value: write %s=PATH", name, name)
		return
	}
	switch name {
	case "--data-dir":
		dirFlag(word, name, text, &r.host.DataDir, r.fields.at("dataDir"))
	case "--kubelet-root-dir":
		dirFlag(word, name, text, &r.host.KubeletRootDir, r.fields.at("kubeletRootDir"))
	case "--token-file":
		word.item.warn("--token-file is left out: join tokens get a file of their own and are removed after use")
	default:
		if text != "/etc/k0s/k0s.yaml" {
			word.item.fail("k0s's configuration is written to /etc/k0s/k0s.yaml, the only place k0s token and k0s etcd "+
				"look for it: remove %s", name)
		}
	}
}

// dirFlag takes a directory over unless a field names another.
func dirFlag(word flagWord, name, text string, dir *string, field value) {
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
