# Prints facts about this host as lines "key value", for facts.go. POSIX sh with busybox or GNU tools; it changes
# nothing, and what cannot be found out is left out. It starts few processes: on small machines they are what takes time.

now() {
	# busybox's date may lack %N and print it as it is.
	t=$(date +%s.%N)
	case $t in *[!0-9.]* | *.) date +%s ;; *) echo "$t" ;; esac
}
have() { command -v "$1" >/dev/null 2>&1; }
say() { [ -z "$2" ] || echo "$1 $2"; }

say clock "$(now)"
k0s=$(command -v k0s 2>/dev/null)
if [ -n "$k0s" ]; then
	say k0s-path "$k0s"
	say k0s-version "$("$k0s" version 2>/dev/null | head -n 1)" & # what takes longest, beside all the rest
fi
uname -nrm | while read -r name release machine; do
	say hostname "$name"
	say kernel "$release"
	say machine "$machine"
done
if [ -r /etc/machine-id ]; then
	read -r id </etc/machine-id
	say machine-id "$id"
fi

os_release=/etc/os-release
[ -r "$os_release" ] || os_release=/usr/lib/os-release
if [ -r "$os_release" ]; then
	(. "$os_release" && say os-id "$ID" && say os-name "$PRETTY_NAME")
fi

if [ -d /run/systemd/system ]; then
	echo init systemd
elif have openrc-init || grep -q '::sysinit:.*openrc' /etc/inittab 2>/dev/null; then
	echo init openrc
fi

for manager in apt-get:apt dnf:dnf yum:yum apk:apk zypper:zypper pacman:pacman; do
	if have "${manager%:*}"; then
		echo "packages ${manager#*:}"
		break
	fi
done

if [ -r /sys/fs/selinux/enforce ]; then
	case $(cat /sys/fs/selinux/enforce) in 1) echo selinux enforcing ;; *) echo selinux permissive ;; esac
elif [ -e /etc/selinux/config ]; then
	echo selinux disabled
fi
have firewall-cmd && [ "$(firewall-cmd --state 2>/dev/null)" = running ] && echo firewalld running

have socat && echo socat yes

# "address INTERFACE ADDRESS/BITS" for each.
if have ip; then
	ip -o addr show 2>/dev/null | while read -r _ interface family address _; do
		case $family in inet | inet6) echo "address ${interface%:} $address" ;; esac
	done
fi

# "listen ADDRESS:PORT PROCESS"; the process may be unknown.
if have ss && listening=$(ss -Hltnp 2>/dev/null); then
	echo "$listening" | while read -r _ _ _ local _ users _; do
		[ -n "$local" ] || continue
		process=${users#*\"}
		[ "$process" = "$users" ] && process= || process=${process%%\"*}
		echo "listen $local $process"
	done
else
	# Without ss: the kernel's tables of sockets, and who has which socket open.
	wait # awk may write half a line at a time
	{
		cat /proc/net/tcp /proc/net/tcp6
		ls -l /proc/[0-9]*/fd
	} 2>/dev/null | awk '
		$4 == "0A" { local[$10] = $2 }
		/^\/proc\// {
			split($0, path, "/")
			pid = path[3]
		}
		match($0, /socket:\[[0-9]+\]/) { owner[substr($0, RSTART + 8, RLENGTH - 9)] = pid }
		END {
			for (inode in local) {
				process = ""
				comm = "/proc/" owner[inode] "/comm"
				if (inode in owner) getline process <comm
				close(comm)
				print "listen-hex", local[inode], process
			}
		}'
fi

[ -e /var/lib/k0s/etcd/member ] && echo etcd-data yes

set -- k0scontroller k0sworker haproxy
if [ -d /run/systemd/system ]; then
	# A block of lines for each unit, in their order, and an empty line after it.
	{ systemctl show -p LoadState -p ActiveState "$@" 2>/dev/null && echo; } | while IFS== read -r key value; do
		case $key in
		LoadState) loaded=$value ;;
		ActiveState) state=$value ;;
		'')
			[ "$loaded" = not-found ] || say "service $1" "$state"
			shift
			;;
		esac
	done
else
	for unit; do
		[ -e "/etc/init.d/$unit" ] || continue
		if rc-service "$unit" status >/dev/null 2>&1; then
			echo "service $unit active"
		else
			echo "service $unit inactive"
		fi
	done
fi

# Kilobytes free; directories that do not exist yet lie where their parents do.
free() {
	dir=$1
	while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
	df -Pk "$dir" 2>/dev/null | while read -r _ _ _ available _; do say "$2" "$available"; done | tail -n 1
}
free /usr/local/bin free-bin
free /var/lib free-data
while read -r name kilobytes _; do
	[ "$name" = MemTotal: ] && echo "memory $kilobytes"
done </proc/meminfo
wait
echo end of facts
