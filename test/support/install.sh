#!/bin/sh
# Installs what the tests need and npm does not have, from Debian's packages; nothing if it is there already.
set -eu
missing=
command -v chromium >/dev/null || missing="$missing chromium"
command -v chromium-headless-shell >/dev/null || missing="$missing chromium-headless-shell"
command -v turnserver >/dev/null || missing="$missing coturn"
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v caddy >/dev/null || missing="$missing caddy"
command -v firefox-esr >/dev/null || missing="$missing firefox-esr"
[ -x /usr/bin/python3 ] && /usr/bin/python3 -c "import websockets" 2>/dev/null || missing="$missing python3-websockets"
command -v prometheus >/dev/null && command -v promtool >/dev/null || missing="$missing prometheus"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v systemd-analyze >/dev/null || missing="$missing systemd"
command -v python3 >/dev/null || missing="$missing python3"
[ -z "$missing" ] && exit 0
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
# Debian may start what it installs as a service; the tests start their own.
for service in caddy coturn nginx prometheus redis-server; do
	case $missing in *$service*)
		$as_root update-rc.d "$service" disable >/dev/null 2>&1 || :
		$as_root invoke-rc.d --quiet "$service" stop >/dev/null 2>&1 || :
		;;
	esac
done
