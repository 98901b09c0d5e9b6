/** The completion scripts of bash, zsh and fish. Each finds the words of the command first, then offers what may follow. */
import type { CompletionEntry, CompletionFlag, CompletionValue } from "./completion-entries.ts";

/** Text in single quotes; bash and zsh end and reopen them around a quote. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function commandKey(entry: CompletionEntry): string {
  return entry.words.join(" ");
}

function groupsOf(entries: readonly CompletionEntry[]): CompletionEntry[] {
  return entries.filter((entry) => entry.commands.length > 0);
}

/** `config|run`: the words after which another word is part of the command. */
function groupWords(entries: readonly CompletionEntry[]): string {
  return groupsOf(entries)
    .map(commandKey)
    .filter((key) => key !== "")
    .join("|");
}

function bashValue(value: CompletionValue): string {
  switch (value.type) {
    case "choice":
      return `COMPREPLY=($(compgen -W ${shellQuoted(value.choices.join(" "))} -- "$cur"))`;
    case "file":
      return `compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))`;
    case "any":
    case "none":
      break;
  }
  return "COMPREPLY=()";
}

export function bashCompletions(entries: readonly CompletionEntry[]): string {
  const cases = entries.map((entry) => {
    const words = [...entry.commands.map(({ name }) => name), ...entry.flags.map(({ name }) => name)];
    const values = entry.flags
      .filter(({ value }) => value.type !== "none")
      .map(({ name, value }) => `        ${name}) ${bashValue(value)}; return ;;\n`)
      .join("");
    const takesWord =
      entry.positional.type === "none" ? "" : `\n      [[ $cur == -* ]] || { ${bashValue(entry.positional)}; }`;
    return `    ${shellQuoted(commandKey(entry))})
      case "$flag" in
${values}        *) ;;
      esac
      COMPREPLY=($(compgen -W ${shellQuoted(words.join(" "))} -- "$cur"))${takesWord}
      ;;`;
  });
  return `# bash completions of mem-agent: source this, or put it into /etc/bash_completion.d
_mem_agent() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" flag="\${COMP_WORDS[COMP_CWORD-1]}" key="" word at
  # Readline takes "--flag=value" apart at the equals sign.
  if [[ $cur == "=" ]]; then cur=""; elif [[ $flag == "=" ]]; then flag="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    [[ $word == -* ]] && break
    case "$key" in
      '') key="$word" ;;
      ${groupWords(entries)}) key="$key $word" ;;
      *) break ;;
    esac
  done
  COMPREPLY=()
  case "$key" in
${cases.join("\n")}
    *) ;;
  esac
}
complete -F _mem_agent mem-agent mem-agent-ctl
`;
}

/** A description inside zsh's own syntax: colon and brackets have a meaning there. */
function zshText(text: string): string {
  return text.replaceAll(/[\\:[\]]/g, "\\$&");
}

function zshValue(value: CompletionValue): string {
  switch (value.type) {
    case "choice":
      return `:value:(${value.choices.join(" ")})`;
    case "file":
      return ":file:_files";
    case "any":
      return ":value: ";
    case "none":
      break;
  }
  return "";
}

export function zshCompletions(entries: readonly CompletionEntry[]): string {
  const cases = entries.map((entry) => {
    const specs = entry.flags.map((flag) => shellQuoted(`${flag.name}[${zshText(flag.text)}]${zshValue(flag.value)}`));
    if (entry.positional.type !== "none") specs.push(shellQuoted(`1${zshValue(entry.positional)}`));
    const described = entry.commands.map(({ name, text }) => shellQuoted(`${name}:${zshText(text)}`));
    const body =
      described.length > 0
        ? `      local -a commands=(${described.join(" ")})
      _describe -t commands command commands
      _arguments ${specs.join(" ")}`
        : `      _arguments ${specs.join(" ")}`;
    return `    ${shellQuoted(commandKey(entry))})\n${body}\n      ;;`;
  });
  return `#compdef mem-agent mem-agent-ctl
# zsh completions of mem-agent: put this as _mem-agent into a directory of fpath
_mem_agent() {
  local key="" word
  integer at=2 used=0
  while (( at < CURRENT )); do
    word="\${words[at]}"
    [[ $word == -* ]] && break
    case "$key" in
      '') key="$word" ;;
      ${groupWords(entries)}) key="$key $word" ;;
      *) break ;;
    esac
    (( at++, used++ ))
  done
  # What is left is completed as if the last word of the command were the program.
  shift used words
  (( CURRENT -= used ))
  case "$key" in
${cases.join("\n")}
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _mem_agent "$@"
else
  compdef _mem_agent mem-agent mem-agent-ctl
fi
`;
}

/** Text in single quotes; fish knows backslash escapes inside them. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
}

function fishFlag(condition: string, flag: CompletionFlag): string {
  const parts = [`complete -c mem-agent -n ${condition} -l ${flag.name.slice(2)} -d ${fishQuoted(flag.text)}`];
  switch (flag.value.type) {
    case "choice":
      parts.push(`-xa ${fishQuoted(flag.value.choices.join(" "))}`);
      break;
    case "file":
      parts.push("-rF");
      break;
    case "any":
      parts.push("-x");
      break;
    case "none":
      break;
  }
  return parts.join(" ");
}

export function fishCompletions(entries: readonly CompletionEntry[]): string {
  const lines = entries.flatMap((entry) => {
    const condition = fishQuoted(`__mem_agent_at ${commandKey(entry)}`.trimEnd());
    const commands = entry.commands.map(
      ({ name, text }) => `complete -c mem-agent -n ${condition} -a ${name} -d ${fishQuoted(text)}`,
    );
    const positional: string[] = [];
    if (entry.positional.type === "file") positional.push(`complete -c mem-agent -n ${condition} -F`);
    if (entry.positional.type === "choice") {
      positional.push(`complete -c mem-agent -n ${condition} -a ${fishQuoted(entry.positional.choices.join(" "))}`);
    }
    return [...commands, ...positional, ...entry.flags.map((flag) => fishFlag(condition, flag))];
  });
  const groups = groupsOf(entries)
    .map(commandKey)
    .filter((key) => key !== "");
  return `# fish completions of mem-agent: mem-agent completions fish | source
# True when the words of the command so far are those given.
function __mem_agent_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l key
    for word in $words
        string match -q -- '-*' $word; and break
        if test -z "$key"
            set key $word
        else if contains -- "$key" ${groups.map(fishQuoted).join(" ")}
            set key "$key $word"
        else
            break
        end
    end
    test "$key" = "$argv"
end
complete -c mem-agent -f
complete -c mem-agent-ctl -w mem-agent
${lines.join("\n")}
`;
}
