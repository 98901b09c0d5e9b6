# bash completions of mem-agent: source this, or put it into /etc/bash_completion.d
_mem_agent() {
  local IFS=$'\n' cur="${COMP_WORDS[COMP_CWORD]}"
  # Readline takes "--flag=value" apart at the equals sign.
  [[ $cur == "=" ]] && cur=""
  COMPREPLY=($("${COMP_WORDS[0]}" complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$cur" 2>/dev/null | cut -f1))
  [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  if [[ ${COMPREPLY[0]} == ":file" ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -F _mem_agent mem-agent mem-agent-ctl
