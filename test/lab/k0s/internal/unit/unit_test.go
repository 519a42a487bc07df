package unit

import "testing"

func TestRender(t *testing.T) {
	got := Render("/usr/local/bin/k0s", []string{"controller", "--labels=a=b", "--kubelet-extra-args=--node-ip=10.0.0.1 --v=2"},
		[]string{"HTTP_PROXY=http://proxy:3128"})
	want := `[Unit]
Description=k0s - Zero Friction Kubernetes (the lab's stand-in)
ConditionFileIsExecutable=/usr/local/bin/k0s
After=network-online.target
Wants=network-online.target

[Service]
StartLimitInterval=5
StartLimitBurst=10
ExecStart=/usr/local/bin/k0s controller --labels=a=b --kubelet-extra-args=--node-ip=10.0.0.1\x20--v=2
Environment="HTTP_PROXY=http://proxy:3128"

RestartSec=10
Delegate=yes
KillMode=process
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
LimitNOFILE=999999
Restart=always

[Install]
WantedBy=multi-user.target
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
