#compdef mem-agent mem-agent-ctl
# zsh completions of mem-agent: put this as _mem-agent into a directory of fpath
_mem_agent() {
  local line
  local -a found keys
  for line in "${(@f)$("${words[1]}" complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -z $line ]] && continue
    if [[ $line == ":file" ]]; then
      _files
      return
    fi
    if [[ ${line%%$'\t'*} == *= ]]; then
      keys+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    else
      found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    fi
  done
  (($#keys)) && _describe mem-agent keys -S ''
  _describe mem-agent found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _mem_agent "$@"
else
  compdef _mem_agent mem-agent mem-agent-ctl
fi
