package config

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entry of a new host, made after that of another.
type newHostEntry struct {
	fields  []*yaml.Node // names and values
	style   yaml.Style
	leftOut []string
}

// shared are the fields that hosts of one role have in common. The others are each host's own: its names, its
// addresses, and what was written for it alone.
func shared() []string {
	return []string{"ssh", "openSSH", "localhost", "role", "noTaints", "privateInterface", "dataDir", "kubeletRootDir",
		"environment", "uploadBinary", "useExistingK0s", "k0sBinaryPath", "k0sDownloadURL", "k0sInstallPath", "installFlags"}
}

// newEntry makes the entry of a new controller after the first one of the role.
func newEntry(hosts []*Host, nodes []*yaml.Node, ssh *SSH, role Role) *newHostEntry {
	first := slices.IndexFunc(hosts, (*Host).IsController)
	role = cmp.Or(role, hosts[first].Role)
	model := slices.IndexFunc(hosts, func(h *Host) bool { return h.Role == role })
	if model < 0 {
		model = first
	}
	other := hosts[model].Role != role // then the role's own fields are not the model's
	var r reader
	e := &newHostEntry{}
	connected := false
	entry := r.value("", nodes[model].Line, nodes[model])
	e.style = entry.node.Style & yaml.FlowStyle
	for _, field := range entry.entries() {
		switch {
		case !field.present():
			continue
		case !slices.Contains(shared(), field.name):
			if field.name == "hooks" || field.name == "files" {
				e.leftOut = append(e.leftOut, field.name)
			}
			continue
		}
		node := plainCopy(field.node)
		name := field.name
		switch name {
		case "ssh", "openSSH", "localhost":
			if connected {
				continue
			}
			connected = true
			if name == "localhost" {
				name, node = "ssh", mapping(e.style)
			}
			address(node, ssh)
		case "role":
			if other {
				node = scalar(string(role), "!!str")
			}
		case "noTaints":
			if other {
				continue
			}
		case "installFlags":
			if node = e.installFlags(hosts, nodes, model, other); len(node.Content) == 0 {
				continue
			}
		}
		e.fields = append(e.fields, scalar(name, "!!str"), node)
	}
	return e
}

// address makes a connection that of another host.
func address(connection *yaml.Node, ssh *SSH) {
	drop(connection, "hostKey")
	set(connection, "address", scalar(ssh.Address, "!!str"))
	if ssh.User != "" {
		set(connection, "user", scalar(strings.ReplaceAll(ssh.User, "$", "$$"), "!!str"))
	}
	if ssh.Port != 0 {
		set(connection, "port", scalar(strconv.Itoa(ssh.Port), "!!int"))
	}
}

// installFlags are those that all controllers of the model's role have, and that say nothing of one host.
func (e *newHostEntry) installFlags(hosts []*Host, nodes []*yaml.Node, model int, other bool) *yaml.Node {
	list := mapping(0)
	list.Kind, list.Tag = yaml.SequenceNode, "!!seq"
	var others [][]flagItem
	for i, h := range hosts {
		if i != model && h.Role == hosts[model].Role {
			others = append(others, flagItems(nodes[i]))
		}
	}
	for _, flag := range flagItems(nodes[model]) {
		common := !slices.ContainsFunc(others, func(flags []flagItem) bool {
			return !slices.ContainsFunc(flags, func(f flagItem) bool { return f.text == flag.text })
		})
		switch {
		case other && (strings.HasPrefix(flag.text, "--enable-worker") || strings.HasPrefix(flag.text, "--no-taints")):
		case !common || isOwn(flag.text, hosts[model]):
			e.leftOut = append(e.leftOut, "installFlags "+flag.text)
		default:
			list.Style = flag.style
			for _, item := range flag.items {
				list.Content = append(list.Content, plainCopy(item))
			}
		}
	}
	return list
}

// flagItem is the items of installFlags that make one flag and its value.
type flagItem struct {
	text  string
	items []*yaml.Node
	style yaml.Style // of the list
}

func flagItems(host *yaml.Node) []flagItem {
	var r reader
	list := r.value("", host.Line, host).find("installFlags")
	var flags []flagItem
	for _, item := range list.items() {
		if !item.present() {
			continue
		}
		text := item.node.Value
		if last := len(flags) - 1; last >= 0 && !strings.HasPrefix(strings.TrimLeft(text, `"' `), "-") {
			flags[last].text += " " + text
			flags[last].items = append(flags[last].items, item.node)
			continue
		}
		flags = append(flags, flagItem{text, []*yaml.Node{item.node}, list.node.Style & yaml.FlowStyle})
	}
	return flags
}

// SharedFlags are those of a running controller's command line that other controllers are to have, too: not what fields
// of their own say, and not what is the host's alone.
func SharedFlags(args []string, h *Host) []string {
	var shared []string
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "--") {
			continue // the program and its command
		}
		flag := args[i : i+1]
		if i+1 < len(args) && !strings.Contains(args[i], "=") && !strings.HasPrefix(args[i+1], "-") {
			i++
			flag = args[i-1 : i+1]
		}
		name, _, _ := strings.Cut(flag[0], "=")
		if !slices.Contains(fieldFlags(), name) && !isOwn(strings.Join(flag, " "), h) {
			shared = append(shared, flag...)
		}
	}
	return shared
}

// fieldFlags are those that fields of a host express, and those that this project gives itself.
func fieldFlags() []string {
	return []string{"--config", "--token-file", "--data-dir", "--kubelet-root-dir", "--enable-worker", "--no-taints", "--single", "--force"}
}

// isOwn tells whether a flag says something of the host alone: where it is, its address, its name.
func isOwn(flag string, h *Host) bool {
	for _, own := range []string{
		"topology.", "failure-domain.", "kubernetes.io/hostname", "--node-ip", "--hostname-override",
		h.Conn.Address(), h.PrivateAddress, h.Hostname,
	} {
		if own != "" && strings.Contains(flag, own) {
			return true
		}
	}
	return false
}

// text writes the entry as the neighbour's is indented, without the dash.
func (e *newHostEntry) text(neighbour *yaml.Node) (string, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(indentOf(neighbour))
	node := mapping(e.style)
	node.Content = e.fields
	if err := encoder.Encode(node); err != nil {
		return "", fmt.Errorf("writing its entry: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// indentOf is by how much the fields within a field of the entry are indented.
func indentOf(host *yaml.Node) int {
	const usual, most = 2, 8
	for i := 0; i+1 < len(host.Content); i += 2 {
		name, value := host.Content[i], host.Content[i+1]
		if value.Kind == yaml.MappingNode && value.Line > name.Line {
			if n := value.Column - name.Column; n >= usual && n <= most {
				return n
			}
		}
	}
	return usual
}

// plainCopy copies a value with its aliases written out, and without comments.
func plainCopy(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value}
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			c.Content = append(c.Content, plainCopy(child))
		}
		return c
	}
	var r reader
	for _, e := range r.value("", n.Line, n).entries() {
		value := scalar("", "!!null")
		if e.present() {
			value = plainCopy(e.node)
		}
		c.Content = append(c.Content, scalar(e.name, "!!str"), value)
	}
	return c
}

func mapping(style yaml.Style) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: style}
}

func scalar(text, tag string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

// set gives a mapping's field a value; a new field comes last.
func set(n *yaml.Node, name string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, scalar(name, "!!str"), value)
}

func drop(n *yaml.Node, name string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}
