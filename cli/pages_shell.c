/* Completion for bash and zsh. The functions are the same in all versions; what
 * they complete is data made from the tables: the verbs, the options of each,
 * and what values an option has. */
#include <string.h>

#include "cli/command_line.h"
#include "cli/pages.h"
#include "cli/verb_table.h"

/* Does the verb take names of files as arguments? */
static bool takes_files(const struct verb *verb)
{
    return strstr(verb->usage, "FILE") != NULL && verb->max_args > 0;
}

static void print_option_words(FILE *out, const struct verb *verb)
{
    uint64_t mask = command_line_options(verb);
    bool any = false;
    for (int i = 0; i < OPTION_N; i++) {
        if ((mask & (UINT64_C(1) << i)) != 0) {
            fprintf(out, "%s--%s", any ? " " : "",
                    option_name((enum option_id)i));
            any = true;
        }
    }
}

/* case lines "--name|-n) action ;;" for options of one sort. */
static void print_value_cases(FILE *out)
{
    for (int i = 0; i < OPTION_N; i++) {
        enum option_id id = (enum option_id)i;
        const char *value = option_value(id);
        if (value == NULL) {
            continue;
        }
        fprintf(out, "    --%s", option_name(id));
        if (option_letter(id) != '\0') {
            fprintf(out, "|-%c", option_letter(id));
        }
        if (strcmp(value, "FILE") == 0 || strcmp(value, "DIRECTORY") == 0) {
            fputs(") echo '@files' ;;\n", out);
        } else if (option_is_choice(id)) {
            fputs(") echo '", out);
            for (const char *at = value; *at != '\0'; at++) {
                putc(*at == '|' ? ' ' : *at, out);
            }
            fputs("' ;;\n", out);
        } else {
            fputs(") echo '@any' ;;\n", out);
        }
    }
}

static void print_verb_cases(FILE *out)
{
    for (size_t i = 0; i < verb_table_size; i++) {
        fprintf(out, "    '%s') echo '", verb_table[i].name);
        print_option_words(out, &verb_table[i]);
        fputs("' ;;\n", out);
    }
}

static void print_file_verbs(FILE *out)
{
    bool any = false;
    fputs("    ", out);
    for (size_t i = 0; i < verb_table_size; i++) {
        if (takes_files(&verb_table[i])) {
            fprintf(out, "%s'%s'", any ? "|" : "", verb_table[i].name);
            any = true;
        }
    }
    fputs(") return 0 ;;\n", out);
}

/* The tables as functions of the POSIX shell. */
static void print_tables(FILE *out)
{
    fputs("# The options of a verb.\n"
          "_concordctl_options() {\n    case \"$1\" in\n",
          out);
    print_verb_cases(out);
    fputs("    esac\n}\n\n"
          "# What value an option has: words, @files, @any, or none.\n"
          "_concordctl_value() {\n    case \"$1\" in\n",
          out);
    print_value_cases(out);
    fputs("    esac\n}\n\n"
          "# Are the arguments of the verb files?\n"
          "_concordctl_takes_files() {\n    case \"$1\" in\n",
          out);
    print_file_verbs(out);
    fputs("    esac\n    return 1\n}\n\n"
          "# All verbs, a line each.\n"
          "_concordctl_verbs() {\n    cat <<'END'\n",
          out);
    for (size_t i = 0; i < verb_table_size; i++) {
        fprintf(out, "%s\n", verb_table[i].name);
    }
    fputs("END\n}\n\n", out);
}

/* What both shells have in common, in the POSIX shell. */
static void print_functions(FILE *out)
{
    print_tables(out);
    fputs(
        "# The verb that the words say: two of them, or the first.\n"
        "_concordctl_verb() {\n"
        "    _concordctl_verbs | awk -v one=\"$1\" -v two=\"$2\" '\n"
        "        $0 == one { found = one }\n"
        "        $0 == one \" \" two { found = $0; exit }\n"
        "        END { print found }'\n"
        "}\n\n"
        "# What may stand where the next word is. The words before it come as\n"
        "# arguments, the beginning of it is in $cur; the answer is words,\n"
        "# @files or nothing.\n"
        "_concordctl_next() {\n"
        "    first='' second='' skip='' before='' more=''\n"
        "    for word in \"$@\"; do\n"
        "        before=$word\n"
        "        if [ -n \"$skip\" ]; then skip='' before=''; continue; fi\n"
        "        case \"$word\" in\n"
        "        --) before=''; break ;;\n"
        "        -?*) [ -z \"$(_concordctl_value \"$word\")\" ] || skip=1 ;;\n"
        "        *)  before=''\n"
        "            if [ -z \"$first\" ]; then first=$word\n"
        "            elif [ -z \"$second\" ]; then second=$word\n"
        "            fi ;;\n"
        "        esac\n"
        "    done\n"
        "    if [ -n \"$skip\" ]; then\n"
        "        more=$(_concordctl_value \"$before\")\n"
        "        [ \"$more\" = @any ] || echo \"$more\"\n"
        "        return\n"
        "    fi\n"
        "    verb=$(_concordctl_verb \"$first\" \"$second\")\n"
        "    case \"$cur\" in\n"
        "    -*) if [ -n \"$verb\" ]; then _concordctl_options \"$verb\"\n"
        "        else echo '--help --output --endpoints --timeout'\n"
        "        fi\n"
        "        return ;;\n"
        "    esac\n"
        "    if [ -z \"$first\" ]; then\n"
        "        _concordctl_verbs | awk '!seen[$1]++ { print $1 }'\n"
        "    elif [ -z \"$second\" ]; then\n"
        "        _concordctl_verbs | awk -v one=\"$first\" \\\n"
        "            'NF == 2 && $1 == one { print $2 }'\n"
        "    fi\n"
        "    if [ -n \"$verb\" ] && _concordctl_takes_files \"$verb\"; then\n"
        "        echo '@files'\n"
        "    fi\n"
        "}\n\n",
        out);
}

void pages_print_bash(FILE *out)
{
    fputs("# Completion of concordctl for bash; made from its tables.\n\n",
          out);
    print_functions(out);
    fputs("_concordctl() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} words answer\n"
          "    local first second skip before more word verb\n"
          "    words=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n"
          "    # bash parts --name=value into three words.\n"
          "    if [[ $cur == = ]]; then\n"
          "        cur=''\n"
          "    elif [[ ${words[-1]-} == = ]]; then\n"
          "        unset 'words[-1]'\n"
          "    fi\n"
          "    answer=$(_concordctl_next \"${words[@]}\")\n"
          "    COMPREPLY=()\n"
          "    if [[ $answer == *@files* ]]; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "        answer=${answer//@files/}\n"
          "    fi\n"
          "    mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(\n"
          "        compgen -W \"$answer\" -- \"$cur\")\n"
          "}\n"
          "complete -F _concordctl concordctl\n",
          out);
}

/* A text inside '...' of the shell. */
static void print_quoted(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", out);
        } else if (*text == ':') {
            fputs("\\:", out);
        } else {
            putc(*text, out);
        }
    }
}

void pages_print_zsh(FILE *out)
{
    fputs("#compdef concordctl\n"
          "# Completion of concordctl for zsh; made from its tables.\n\n",
          out);
    print_functions(out);
    fputs("# \"word:what it is\" for words that have one line of their own.\n"
          "_concordctl_described=(\n",
          out);
    for (size_t i = 0; i < verb_table_size; i++) {
        if (strchr(verb_table[i].name, ' ') == NULL) {
            fprintf(out, "    '%s:", verb_table[i].name);
            print_quoted(out, verb_table[i].summary);
            fputs("'\n", out);
        }
    }
    for (int i = 0; i < OPTION_N; i++) {
        fprintf(out, "    '--%s:", option_name((enum option_id)i));
        print_quoted(out, option_help((enum option_id)i));
        fputs("'\n", out);
    }
    fputs(")\n\n"
          "_concordctl() {\n"
          "    local cur=${words[CURRENT]} answer word entry\n"
          "    local first second skip before more verb\n"
          "    local -a items typed\n"
          "    typed=(\"${(@)words[2,CURRENT-1]}\")\n"
          "    # The common functions are written for sh.\n"
          "    answer=$(emulate -L sh; _concordctl_next \"${typed[@]}\")\n"
          "    [[ $answer == *@files* ]] && _files\n"
          "    for word in ${=answer}; do\n"
          "        [[ $word == @files ]] && continue\n"
          "        entry=${_concordctl_described[(r)${word}:*]}\n"
          "        items+=(${entry:-$word})\n"
          "    done\n"
          "    (( ${#items} )) && _describe 'concordctl' items\n"
          "}\n\n"
          "if [ \"$funcstack[1]\" = _concordctl ]; then\n"
          "    _concordctl \"$@\"\n"
          "else\n"
          "    compdef _concordctl concordctl\n"
          "fi\n",
          out);
}
