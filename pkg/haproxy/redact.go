package haproxy

import "regexp"

// secrets are what of a line of haproxy.cfg nobody else may see, after what says so: passwords of the statistics page and
// of user lists, the secret of a QUIC cluster, headers that prove who asks, the password that a check sends to Redis, the
// environment, and users in URLs (HAProxy's configuration manual).
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?im)^([ \t]*stats[ \t]+auth[ \t]+).*[^\r\n]`),
	regexp.MustCompile(`(?im)(\b(?:insecure-)?password[ \t:=]+)[^\s"]+`),
	regexp.MustCompile(`(?im)(\bcluster-secret[ \t]+)\S+`),
	regexp.MustCompile(`(?im)((?:authorization|[a-z-]*(?:token|api-?key|secret))\b["']?(?:[:=]|\\?[ \t])+).*[^\r\n]`),
	regexp.MustCompile(`(?im)(\bsend[ \t]+["']?auth(?:\\?[ \t])+).*[^\r\n]`),
	regexp.MustCompile(`(?im)^([ \t]*(?:pre)?setenv[ \t]+\S+[ \t]+).*[^\r\n]`),
	regexp.MustCompile(`(://)[^/@\s]+@`),
}

// redact hides what may be secret in a configuration, for its text to be shown. Lines stay lines.
func redact(file []byte) []byte {
	for _, secret := range secrets {
		file = secret.ReplaceAll(file, []byte("${1}***"))
	}
	return file
}
