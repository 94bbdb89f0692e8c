# bash completion of crossenc. Installed as bash-completion/completions/crossenc; or: source crossenc.bash

# The options of a command, and for those that have a value what it is: option:value. A value is a list of words
# parted by commas, or FILE, DIR, DEVICE or TEXT.
_crossenc_options() {
    local model='-m:DIR --model:DIR --adapter:DIR -d:DEVICE --device:DEVICE -t:TEXT --threads:TEXT --cpus:TEXT
        --max-length:TEXT --precision:default,float32,bfloat16,int8,float16 --batch-tokens:TEXT --json
        --color:auto,always,never -Q --quiet -v --verbose -h --help'
    local scores='-a:ACTIVATION --activation:ACTIVATION -l --logits --deferred --utf8:strict,replace
        --prompt:TEXT --prompt-name:TEXT'
    local run='-r:FILE --run:FILE -c:FILE --corpus:FILE -q:FILE --queries:FILE -n:TEXT --top:TEXT --tag:TEXT -o:FILE'
    local format='-f:FORMAT --format:FORMAT --output:FILE'
    case $1 in
    rank) echo "$model $scores $run $format -k:TEXT --top-k:TEXT -D:FILE --documents:FILE" ;;
    predict) echo "$model $scores $format --softmax -o:FILE" ;;
    encode) echo "$model $format -o:FILE --deferred --utf8:strict,replace --prompt:TEXT --prompt-name:TEXT
        --truncate-dim:TEXT --normalize --type:float32,int8,uint8,binary,ubinary --to:auto,jsonl,npy" ;;
    eval) echo "$model $scores $run -j:FILE --qrels:FILE -k:TEXT --k:TEXT --max-queries:TEXT --save-run:FILE" ;;
    devices) echo "--measure --json --color:auto,always,never -h --help" ;;
    bench) echo "$model --only:all,throughput,latency,cold-start,memory --seconds:TEXT --quick -p:FILE --plot:FILE" ;;
    inspect) echo "$model --place" ;;
    tokenize) echo "$model --utf8:strict,replace --prompt:TEXT --prompt-name:TEXT" ;;
    convert) echo "--adapter:DIR -t:TEXT --threads:TEXT --precision:default,float32,bfloat16,int8,float16
        --gguf-type:default,F32,F16,BF16,Q8_0 --force --json
        --color:auto,always,never -Q --quiet -v --verbose -h --help" ;;
    pull) echo "--json --color:auto,always,never -Q --quiet -v --verbose -h --help" ;;
    esac
}

_crossenc_devices() {
    crossenc devices --json 2>/dev/null | grep -o '"id":"[^"]*"' | cut -d'"' -f4
}

_crossenc_value() {
    case $1 in
    FILE) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    DIR) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    DEVICE) mapfile -t COMPREPLY < <(compgen -W "auto $(_crossenc_devices)" -- "$2") ;;
    ACTIVATION) mapfile -t COMPREPLY < <(compgen -W 'default identity sigmoid tanh relu softmax' -- "$2") ;;
    FORMAT) mapfile -t COMPREPLY < <(compgen -W 'auto lines tsv jsonl' -- "$2") ;;
    TEXT) COMPREPLY=() ;;
    *) mapfile -t COMPREPLY < <(compgen -W "${1//,/ }" -- "$2") ;;
    esac
}

_crossenc() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} option
    local commands='rank predict encode eval bench devices inspect tokenize convert pull help'
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
        return
    fi
    if [[ $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
        return
    fi
    # A colon is a word of its own to bash: cuda:0 arrives as "cuda" ":" "0".
    if [[ $previous == : || $current == : ]]; then return; fi
    for option in $(_crossenc_options "$command"); do
        if [[ $option == "$previous":* ]]; then
            _crossenc_value "${option#*:}" "$current"
            return
        fi
    done
    if [[ $current == -* ]]; then
        local names=
        for option in $(_crossenc_options "$command"); do names+=" ${option%%:*}"; done
        mapfile -t COMPREPLY < <(compgen -W "$names" -- "$current")
    elif [[ $command == predict || $command == encode ]]; then
        _crossenc_value FILE "$current"
    elif [[ $command == convert ]]; then
        _crossenc_value FILE "$current"
    fi
}

complete -F _crossenc crossenc
