package simkubelet

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ParseTaint reads key, key:effect or key=value:effect.
func ParseTaint(s string) (corev1.Taint, error) {
	keyValue, effect, hasEffect := strings.Cut(s, ":")
	key, value, _ := strings.Cut(keyValue, "=")
	taint := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
	if key == "" || (value != "" && !hasEffect) {
		return taint, fmt.Errorf("invalid taint spec: %s", s)
	}
	switch taint.Effect {
	case "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		return taint, nil
	}
	return taint, fmt.Errorf("invalid taint effect: %s, unsupported taint effect", effect)
}
