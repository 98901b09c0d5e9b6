# fish completions of mem-agent: mem-agent completions fish | source
function __mem_agent_complete
    set -l words (commandline -opc)
    set -l found ($words[1] complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if test "$found[1]" = ":file"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $found
    end
end
complete -c mem-agent -f -a '(__mem_agent_complete)'
complete -c mem-agent-ctl -w mem-agent
