# Constant text: it is run by /bin/sh on the far host and read from the connection; so are all values, after it, one a
# line and base64 where they are not ours. No value is ever part of a command's text. The steps are those of the `files`
# deployer: draft, lend, switch, settle, check, reload, note.
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
fail() { printf '%s\n' "$1" >&2; exit "${2:-20}"; }
decode() { printf '%s' "$1" | base64 -d; }
text() { value=$(decode "$1"; printf x); value=${value%x}; }
flush() { sync -- "$1" 2>/dev/null || sync; }
swap() { mv -fT -- "$1" "$2" || fail "$2 could not be replaced"; }
copy() { cp -a -- "$1" "$2" 2>/dev/null || cp -p -- "$1" "$2" || fail "$2 could not be written"; }
path() { eval "p=\$path$1"; d=${p%/*}; d=${d:-/}; b=${p##*/}; new=$d/.$b.notafter-new; link=$d/.$b.notafter-link; }

# As root nobody else may be able to change where the files land: every folder and link on the way is looked at, as `files`
# does it on its own machine.
root=no; if [ "$(id -u)" = 0 ]; then root=yes; fi
about() {
  read -r perm _ uid gid _ <<END
$(ls -ldn -- "$1")
END
  [ -n "$uid" ] || fail "$1 could not be looked at"
}
others() { case $perm in ????????w*) return 0 ;; ?????w*) [ "$gid" != 0 ] ;; *) return 1 ;; esac; }
# As root: the way of $1, and so often a link was followed. Folders of $own are allowed, and of the account of a file that is
# there, in a folder where nobody else makes any.
way() {
  [ "$root" = yes ] || return 0
  [ "$2" -le 40 ] || fail "$1: links without end"
  at=/; rest=${1#/}; about /; up=; if others; then up=open; fi; top=$uid
  while [ -n "$rest" ]; do
    case $rest in */*) part=${rest%%/*}; rest=${rest#*/} ;; *) part=$rest; rest= ;; esac
    case $part in '' | .) continue ;; ..) way "${at%/*}/$rest" "$(($2 + 1))"; return ;; esac
    here=${at%/}/$part
    if [ -L "$here" ]; then
      [ "$top" = 0 ] || fail "$here is a link that the account $top may change: root writes where it leads"
      [ -z "$up" ] || fail "$here is a link in a folder that others may write to: anybody could point it elsewhere"
      to=$(readlink -- "$here"; printf x); to=${to%?x}
      case $to in /*) ;; *) to=${at%/}/$to ;; esac
      way "$to/$rest" "$(($2 + 1))"
      return
    fi
    [ -d "$here" ] || fail "there is no folder $here"
    about "$here"
    case " 0 $own " in
      *" $uid "*) ;;
      *)
        case " $found " in *" $uid "*) [ -z "$up" ] ;; *) false ;; esac ||
          fail "$here belongs to the account $uid, who could put a link there: let root own it, or set owner"
        ;;
    esac
    up=
    if others; then
      up=open
      case $perm in
        *[tT]*) [ -n "$rest" ] || fail "others may write to $here: chmod go-w $here" ;;
        *) fail "others may write to $here: chmod go-w $here" ;;
      esac
    fi
    at=$here; top=$uid
  done
}

read -r op; read -r set; read -r other; read -r back; read -r limit; read -r files
own= found=
i=1
while [ "$i" -le "$files" ]; do
  read -r a; read -r m; read -r o; read -r c; read -r s
  text "$a"; q=$value
  eval "given$i=\$q"
  if [ -L "$q" ]; then
    case $(readlink -- "$q") in
      *.notafter/current/*) ;;
      *)
        q=$(readlink -f -- "$q") || fail "$q leads nowhere"
        case $q in */archive/*/*[0-9].pem) fail "$q is in the archive of certbot, whose files are history: name other files" ;; esac
        ;;
    esac
  fi
  if [ -f "$q" ] && [ ! -L "$q" ]; then about "$q"; found="$found $uid"; fi
  if [ "$o" != - ]; then
    text "$o"; value=${value%%:*}
    case $value in '' | *[!0-9]*) value=$(id -u -- "$value" 2>/dev/null) ;; esac
    own="$own $value"
  fi
  eval "path$i=\$q mode$i=\$m owner$i=\$o data$i=\$c seen$i=\$s"
  i=$((i + 1))
done
for kind in check reload; do
  read -r n; eval "${kind}_count=\$n"
  i=1
  while [ "$i" -le "$n" ]; do read -r a; eval "${kind}_$i=\$a"; i=$((i + 1)); done
done

command -v base64 >/dev/null || fail 'there is no base64 on this host'
path 1
store=$d/.$b.notafter
i=1
while [ "$i" -le "$files" ]; do
  eval "g=\$given$i"; g_d=${g%/*}
  way "${g_d:-/}" 0
  # A link of the user's leads somewhere: that it does may be nobody else's to say.
  while [ "$root" = yes ] && [ -L "$g" ]; do
    to=$(readlink -- "$g"; printf x); to=${to%?x}
    case $to in *.notafter/current/*) break ;; esac
    [ "$top" = 0 ] || fail "$g is a link that the account $top may change: root writes where it leads"
    [ -z "$up" ] || fail "$g is a link in a folder that others may write to: anybody could point it elsewhere"
    case $to in /*) g=$to ;; *) g=$g_d/$to ;; esac
    g_d=${g%/*}
    way "${g_d:-/}" 0
  done
  path "$i"
  way "$d" 0
  [ -d "$d" ] || fail "there is no folder $d"
  [ -z "$(find "$d/." -prune -perm -0002)" ] || fail "everybody may write to $d: chmod o-w $d"
  i=$((i + 1))
done
[ ! -L "$store" ] || fail "$store is a link, and was not made here"
[ -d "$store" ] || mkdir -m 711 -- "$store" || fail "$store could not be made"
[ -O "$store" ] || fail "$store was not made by this account"
if [ "$root" = yes ]; then
  about "$store"
  if others; then fail "others may write to $store: look what is in it, then chmod go-w $store"; fi
fi
busy() { fail "another deployment is at work in $store" 15; }
# Which process it is: its number, and when it began, because numbers are used again.
life() {
  whole=$(cat "/proc/$1/stat" 2>/dev/null) || whole=
  [ -n "$whole" ] || { printf '%s' "$1"; return; }
  # shellcheck disable=SC2086
  set -- "$1" ${whole##*) }
  printf '%s-%s' "$1" "${21-}"
}
# Where there is no flock, a link that names its holder. That of a process which is gone gives way.
hold() {
  me=$(life "$$")
  ln -s -- "$me" "$store/held" 2>/dev/null && return
  holder=$(readlink -- "$store/held") || busy
  kill -0 "${holder%%-*}" 2>/dev/null && [ "$(life "${holder%%-*}")" = "$holder" ] && busy
  mv -fT -- "$store/held" "$store/held.$$" || busy
  taken=$(readlink -- "$store/held.$$"); rm -f -- "$store/held.$$"
  # Somebody else was quicker, and it is theirs.
  if [ "$taken" != "$holder" ]; then ln -s -- "$taken" "$store/held"; me=; busy; fi
  ln -s -- "$me" "$store/held" 2>/dev/null || busy
}
me= trying=
leave() {
  if [ -n "$trying" ]; then rm -rf -- "$store/draft"; each untry_one; fi
  if [ -n "$me" ] && [ "$(readlink -- "$store/held")" = "$me" ]; then rm -f -- "$store/held"; fi
}
exec 9>"$store/lock"
trap leave 0
if command -v flock >/dev/null; then flock -n 9 || busy; else hold; fi

each() { i=1; while [ "$i" -le "$files" ]; do path "$i"; "$@"; i=$((i + 1)); done; }
stage() { rm -f -- "$new"; if [ -e "$1/$2" ]; then copy "$1/$2" "$new"; touch -m -- "$new"; flush "$new"; fi; }
settle_one() {
  rm -f -- "$new" "$link"
  [ -L "$p" ] || return 0
  n=$(readlink -- "$p"); n=${n##*/}
  if [ -e "$store/current/$n" ]; then stage "$store/current" "$n"; swap "$new" "$p"; else rm -f -- "$p"; fi
  flush "$d"
}
same_one() {
  if [ -e "$1/$i" ]; then cmp -s -- "$1/$i" "$p" || same=no; elif [ -e "$p" ]; then same=no; fi
}
is_same() { [ -f "$store/$1/whole" ] || return 1; same=yes; each same_one "$store/$1"; [ "$same" = yes ]; }
point() {
  rm -f -- "$store/next"
  ln -s -- "$1" "$store/next" || fail "$store could not be written"
  swap "$store/next" "$store/current"; flush "$store"
}
stage_one() { stage "$1" "$i"; }
lend_one() {
  rm -f -- "$link"
  ln -s -- "$store/current/$i" "$link" || fail "$link could not be made"
  swap "$link" "$p"; flush "$d"
}
place_one() { if [ -e "$new" ]; then swap "$new" "$p"; else rm -f -- "$p"; fi; flush "$d"; }
put() {
  [ -f "$store/$2/whole" ] || fail "$store/$2 is gone: what is in place stays"
  each stage_one "$store/$2"
  if [ "$files" -gt 1 ]; then point "$1"; each lend_one; fi
  point "$2"
  each place_one
}
loaded() { [ -f "$store/loaded" ] && [ "$(cat -- "$store/loaded")" = "$1" ]; }
note() {
  printf '%s' "$1" >"$store/loaded.new" || fail "$store could not be written"
  flush "$store/loaded.new"; swap "$store/loaded.new" "$store/loaded"; flush "$store"
}
draft_one() {
  f=$store/draft/$i
  eval "m=\$mode$i o=\$owner$i c=\$data$i"
  if [ -f "$p" ]; then copy "$p" "$f"; else : >"$f"; chmod "${m#?}" "$f"; fi
  decode "$c" >"$f" || fail "$f could not be written"
  if [ "$o" != - ]; then text "$o"; chown -- "$value" "$f" || fail "$f could not be given to $value"; fi
  case $m in =*) chmod "${m#?}" "$f" ;; esac
  flush "$f"
}
snap_one() { if [ -f "$p" ]; then copy "$p" "$store/draft/$i"; flush "$store/draft/$i"; fi; }
# Nobody else gets into a draft: a new key lies in it before it has its mode and its owner.
draft() { rm -rf -- "$store/draft"; mkdir -m 700 -- "$store/draft" || fail "$store could not be written"; }
finish() {
  : >"$store/draft/whole" || fail "$store could not be written"
  chmod 711 -- "$store/draft" || fail "$store could not be written"
  flush "$store/draft"; rm -rf -- "$store/${1:?}"
  swap "$store/draft" "$store/$1"; flush "$store"
}
line() { printf '%s ' "$1"; if [ -f "$2" ]; then base64 <"$2" | tr -d '\n'; else printf -- '-'; fi; printf '\n'; }
look_one() {
  eval "s=\$seen$i"
  [ "$s" = look ] || return 0
  line "there $i" "$p"
  if [ -f "$store/$set/whole" ]; then line "has $i" "$store/$set/$i"; fi
  if [ -n "$r" ]; then line "was $i" "$store/$r/$i"; fi
}
seen_one() {
  eval "s=\$seen$i"
  case $s in
    -) ;;
    none) if [ -e "$p" ]; then changed=yes; fi ;;
    *) if [ ! -e "$p" ] || [ "$(sha256sum <"$p")" != "$s  -" ]; then changed=yes; fi ;;
  esac
}
find_same() {
  from=
  for s in "$store"/gen-* "$store"/before-*; do
    if is_same "${s##*/}"; then from=${s##*/}; return; fi
  done
}
run() {
  kind=$1; eval "n=\$${kind}_count"; shift; set --; i=1
  while [ "$i" -le "$n" ]; do eval "a=\$${kind}_$i"; text "$a"; set -- "$@" "$value"; i=$((i + 1)); done
  [ "$#" -gt 0 ] || return 0
  if command -v timeout >/dev/null; then set -- timeout -k 5 "$limit" "$@"; fi
  { { "$@" </dev/null 2>&1 3>&- 9>&-; printf '%s' "$?" >&3; } | head -c 4000 >&2; } 3>"$store/code"
  code=$(cat -- "$store/code"); rm -f -- "$store/code"
  [ "$code" = 0 ]
}

try_one() { stage "$store/draft" "$i"; line "tried $i" "$new"; rm -f -- "$new"; }
untry_one() { rm -f -- "$new"; }
# Could it be run today? Only questions are asked, which change nothing.
able() {
  kind=$1; eval "n=\$${kind}_count"; shift; set --; i=1
  while [ "$i" -le "$n" ]; do eval "a=\$${kind}_$i"; text "$a"; set -- "$@" "$value"; i=$((i + 1)); done
  [ "$#" -gt 0 ] || return 0
  program=$(command -v -- "$1")
  # What the shell has built in is a plain word here.
  case $program in */*) [ -f "$program" ] && [ -x "$program" ] ;; '') false ;; esac ||
    fail "the $kind cannot be run on this host: there is no program $1 that this account may execute"
  asked=$1
  if [ "${1##*/}" = sudo ]; then
    shift; if [ "${1-}" = -n ]; then shift; fi
    case ${1-} in -* | '') return 0 ;; esac
    "$program" -n -l "$@" >/dev/null </dev/null 2>&1 9>&- || fail "sudo does not let this account run $*"
    printf 'able sudo lists the %s as allowed; whether it would ask for a password is not known\n' "$kind"
  fi
  if [ "${1##*/}" = systemctl ] && [ "$#" -ge 3 ]; then
    case $2 in reload | restart | try-restart | reload-or-restart | try-reload-or-restart) ;; *) return 0 ;; esac
    case $3 in -*) return 0 ;; esac
    if [ ! -d /run/systemd/system ]; then
      printf 'able systemd does not run that host: whether the %s would work is not known\n' "$kind"
      return 0
    fi
    state=$("$1" show --property=LoadState -- "$3" 2>/dev/null 9>&-) || return 0
    case $state in
      LoadState=loaded) printf 'able systemd there has %s loaded\n' "$3" ;;
      LoadState=*) fail "systemd of this host has no unit $3 that it could $2: ${state#LoadState=}" ;;
    esac
  elif [ "$kind" = reload ]; then
    printf 'able the reload is there: %s\n' "$asked"
  fi
}

each settle_one
case $op in
  look)
    r=
    if [ -f "$store/$set/replaces" ]; then
      r=$(cat -- "$store/$set/replaces")
      printf 'replaces %s\n' "$r"
    fi
    find_same
    printf 'force %s\n' "$from"
    each look_one
    ;;
  deploy)
    if is_same "$set" && loaded "$set"; then
      # Asked for once more, it was not seen in use. Nothing was replaced, and there is nothing to go back to.
      run check || exit 19
      run reload || exit 21
    else
      if is_same "$set"; then from=$(cat -- "$store/$set/replaces"); else
        changed=no; each seen_one
        [ "$changed" = no ] || exit 18
        find_same
        if [ -z "$from" ]; then
          from=before-${set#gen-}; draft; each snap_one; finish "$from"
        fi
        if [ ! -f "$store/$set/whole" ]; then
          r=$from
          if [ -f "$store/$other/whole" ]; then r=$other; fi
          draft; each draft_one; printf '%s' "$r" >"$store/draft/replaces"; flush "$store/draft/replaces"; finish "$set"
        fi
        rm -f -- "$store/loaded"
        put "$from" "$set"
      fi
      if ! run check; then
        [ "$back" != no ] || exit 22
        put "$set" "$from"; exit 10
      fi
      if ! run reload; then
        [ "$back" = yes ] || exit 12
        put "$set" "$from"; run reload || exit 23
        exit 11
      fi
      note "$set"
      kept=$(cat -- "$store/$set/replaces")
      for s in "$store"/gen-* "$store"/before-*; do
        case ${s##*/} in "$set" | "$kept" | "$from") ;; *) rm -rf -- "$s" ;; esac
      done
    fi
    printf 'replaces %s\n' "$(cat -- "$store/$set/replaces")"
    ;;
  back)
    [ -f "$store/$other/whole" ] || exit 13
    if ! is_same "$other" || ! loaded "$other"; then
      if ! is_same "$other"; then
        is_same "$set" || exit 14
        rm -f -- "$store/loaded"
        put "$set" "$other"
      fi
      run check || exit 16
      run reload || exit 17
      note "$other"
    fi
    printf 'back\n'
    ;;
  rehearse)
    for tool in base64 cat chmod chown cmp cp find head id ln ls mkdir mv readlink rm sha256sum sync touch tr; do
      command -v "$tool" >/dev/null || fail "there is no $tool on this host"
    done
    rm -rf -- "$store/scratch"
    mkdir -- "$store/scratch" && ln -s -- file "$store/scratch/a" && ln -s -- . "$store/scratch/b" ||
      fail "$store could not be written"
    mv -fT -- "$store/scratch/a" "$store/scratch/b" && [ "$(readlink -- "$store/scratch/b")" = file ] ||
      fail 'mv of this host cannot put one link in the place of another (mv -T)'
    rm -rf -- "$store/scratch"
    run check || exit 24
    if ! command -v flock >/dev/null; then
      printf 'able there is no flock on this host, and a link in %s keeps deployments apart instead\n' "$store"
    fi
    able check; able reload
    printf 'works\n'
    ;;
  try)
    # Nothing in use is touched: what is written is beside it, and is removed however this ends.
    trying=yes
    draft; each draft_one; each try_one
    printf 'tried\n'
    ;;
  *) fail 'an unknown word' ;;
esac
exit 0
