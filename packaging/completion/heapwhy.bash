# bash completion for heapwhy
_heapwhy() {
	local word=${COMP_WORDS[COMP_CWORD]} command=report
	local common="--json --exe= --fork --stop --color= --no-progress --verbose --help --usage"

	[ "$COMP_CWORD" -gt 1 ] && case ${COMP_WORDS[1]} in
	report | diff | paths | rss | dump | snap | core-handler | version | help) command=${COMP_WORDS[1]} ;;
	esac
	case $word in
	--color=* | auto | always | never)
		COMPREPLY=($(compgen -W "auto always never" -- "${word#--color=}"))
		return ;;
	-*)
		case $command in
		report) COMPREPLY=($(compgen -W "--top= --fail-on= --version $common" -- "$word")) ;;
		diff) COMPREPLY=($(compgen -W "--top= --fail-on= $common" -- "$word")) ;;
		paths) COMPREPLY=($(compgen -W "--count= $common" -- "$word")) ;;
		rss) COMPREPLY=($(compgen -W "$common" -- "$word")) ;;
		dump) COMPREPLY=($(compgen -W "--output= --zstd --redact --with-program --exe= --fork --stop --help --usage" -- "$word")) ;;
		core-handler) COMPREPLY=($(compgen -W "--directory= --pid= --keep= --max-bytes= --timeout= --redact --help --usage" -- "$word")) ;;
		snap) COMPREPLY=($(compgen -W "--output= --exe= --fork --stop --no-progress --verbose --help --usage" -- "$word")) ;;
		*) COMPREPLY=($(compgen -W "--help --usage" -- "$word")) ;;
		esac
		[ "${COMPREPLY[0]: -1}" != = ] || compopt -o nospace
		return ;;
	esac
	case $command in
	help) COMPREPLY=($(compgen -W "report diff paths rss dump snap core-handler version help" -- "$word")) ;;
	version) COMPREPLY=() ;;
	*)
		COMPREPLY=($(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word"))
		COMPREPLY+=($(compgen -f -- "$word"))
		[ "$COMP_CWORD" -ne 1 ] || COMPREPLY+=($(compgen -W "report diff paths rss dump snap core-handler version help" -- "$word")) ;;
	esac
}
complete -F _heapwhy heapwhy
