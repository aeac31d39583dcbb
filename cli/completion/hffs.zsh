#compdef hffs
# zsh completion for hffs: source <(hffs completion zsh), behind compinit; or as a file
# named _hffs in a folder of $fpath
_hffs() {
    local line
    local -a names lines
    for line in "${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            '') ;;
            :files) _files ;;
            :folders) _files -/ ;;
            *)
                names+=("${line%%$'\t'*}")
                lines+=("${line%%$'\t'*}  ${line#*$'\t'}")
                ;;
        esac
    done
    (( $#names )) && compadd -l -d lines -a names
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _hffs "$@"
else
    compdef _hffs hffs
fi
