//! What each shell needs to know. All of them hand over the words up to the cursor and read back a
//! line (`words`, `files` or `folders`) and then one candidate a line.

/// Bash 3.2 and later.
///
/// Bash breaks words at `:`, `=` and `@`; they are put together again as they stand in the line, and
/// what stands before the break is taken off the candidates.
pub(super) const BASH: &str = r#"_ties_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" rest word i kind candidate
    local -a words=()
    rest="$line"
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        ((i == COMP_CWORD)) && word="${rest#"${rest%%[![:space:]]*}"}"
        if ((i > 0)) && [[ "$rest" != [[:space:]]* ]]; then
            words[${#words[@]} - 1]+="$word"
        else
            rest="${rest#"${rest%%[![:space:]]*}"}"
            words+=("$word")
        fi
        rest="${rest:${#word}}"
    done
    local last=$((${#words[@]} - 1))
    local current="${words[last]}"
    current="${current#[\"\']}"
    words[last]="$current"
    local before="${current%"$2"}"
    COMPREPLY=()
    {
        read -r kind
        while IFS= read -r candidate; do
            COMPREPLY+=("${candidate#"$before"}")
        done
    } < <(command "${COMP_WORDS[0]/#\~/$HOME}" __complete bash "$last" -- "${words[@]}" 2>/dev/null)
    case "$kind" in
        files) compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$2")) ;;
        folders) compopt -o dirnames 2>/dev/null || COMPREPLY=($(compgen -d -- "$2")) ;;
    esac
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _ties_complete ties
"#;

/// Zsh 5 and later; works both as a file `_ties` on `fpath` and read by `.zshrc` after `compinit`.
pub(super) const ZSH: &str = r#"#compdef ties
_ties() {
    local -a answer
    answer=("${(@f)$(command "${(Q)words[1]/#\~/$HOME}" __complete zsh $((CURRENT - 1)) -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
    local kind="${answer[1]}"
    shift answer
    case "$kind" in
        files) _files ;;
        folders) _files -/ ;;
        *) (( ${#answer} )) && [[ -n "${answer[1]}" ]] && _describe -V 'ties' answer ;;
    esac
}
if [[ "${funcstack[1]}" == _ties ]]; then
    _ties "$@"
else
    compdef _ties ties
fi
"#;

/// Fish 3 and later.
pub(super) const FISH: &str = r#"function __ties_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l answer (command $words[1] __complete fish (count $words) -- $words "$current" 2>/dev/null)
    switch "$answer[1]"
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current" ''
        case words
            printf '%s\n' $answer[2..-1]
    end
end
complete --command ties --no-files --arguments '(__ties_complete)'
"#;
