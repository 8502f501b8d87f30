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

read -r op; read -r set; read -r other; read -r back; read -r limit; read -r files
i=1
while [ "$i" -le "$files" ]; do
  read -r a; read -r m; read -r o; read -r c; read -r s
  text "$a"; q=$value
  if [ -L "$q" ]; then
    case $(readlink -- "$q") in
      *.notafter/current/*) ;;
      *)
        q=$(readlink -f -- "$q") || fail "$q leads nowhere"
        case $q in */archive/*/*[0-9].pem) fail "$q is in the archive of certbot, whose files are history: name other files" ;; esac
        ;;
    esac
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
  path "$i"
  [ -d "$d" ] || fail "there is no folder $d"
  [ -z "$(find "$d" -prune -perm -0002)" ] || fail "everybody may write to $d: chmod o-w $d"
  i=$((i + 1))
done
[ ! -L "$store" ] || fail "$store is a link, and was not made here"
[ -d "$store" ] || mkdir -m 711 -- "$store" || fail "$store could not be made"
[ -O "$store" ] || fail "$store was not made by this account"
exec 9>"$store/lock"
if command -v flock >/dev/null; then flock -n 9 || fail "another deployment is at work in $store" 15; fi

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
      if ! run check; then put "$set" "$from"; exit 10; fi
      if ! run reload; then
        [ "$back" = yes ] || exit 12
        put "$set" "$from"; run reload; exit 11
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
    for tool in base64 cat chmod chown cmp cp find head ln mkdir mv readlink rm sha256sum sync touch tr; do
      command -v "$tool" >/dev/null || fail "there is no $tool on this host"
    done
    rm -rf -- "$store/scratch"
    mkdir -- "$store/scratch" && ln -s -- file "$store/scratch/a" && ln -s -- . "$store/scratch/b" ||
      fail "$store could not be written"
    mv -fT -- "$store/scratch/a" "$store/scratch/b" && [ "$(readlink -- "$store/scratch/b")" = file ] ||
      fail 'mv of this host cannot put one link in the place of another (mv -T)'
    rm -rf -- "$store/scratch"
    run check || exit 10
    printf 'works\n'
    ;;
  *) fail 'an unknown word' ;;
esac
exit 0
