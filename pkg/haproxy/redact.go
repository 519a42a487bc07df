package haproxy

import (
	"regexp"
	"strings"
)

// secrets finds what of a configuration nobody else may see, after what says so: passwords of the statistics page and of
// user lists, the secret of a QUIC cluster, headers that prove who asks, the password that a check sends to Redis, and the
// environment (HAProxy's configuration manual).
var secrets = regexp.MustCompile(`(?im)(` + strings.Join([]string{
	`^[ \t]*stats[ \t]+auth[ \t]+`,
	`\b(?:insecure-)?password[ \t:=]+`,
	`\bcluster-secret[ \t]+`,
	`(?:authorization|[a-z-]*(?:token|api-?key|secret))\b["']?(?:[:=]|\\?[ \t])+`,
	`\bsend[ \t]+["']?auth(?:\\?[ \t])+`,
	`^[ \t]*(?:pre)?setenv[ \t]+\S+[ \t]+`,
}, "|") + `)[^\r\n]+`)

// users are in URLs.
var users = regexp.MustCompile(`(://)[^/@\s]+@`)

// redact hides what may be secret in a configuration, and the rest of its line, for its text to be shown. Lines stay lines.
func redact(file []byte) []byte {
	file = secrets.ReplaceAll(file, []byte("${1}***"))
	return users.ReplaceAll(file, []byte("${1}***@"))
}
