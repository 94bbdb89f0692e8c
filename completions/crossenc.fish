# fish completion of crossenc.

set -l commands rank predict encode eval bench devices inspect tokenize convert help
set -l model '__fish_seen_subcommand_from rank predict encode eval bench inspect tokenize'
set -l scoring '__fish_seen_subcommand_from rank predict eval'
set -l runs '__fish_seen_subcommand_from rank eval'
set -l input '__fish_seen_subcommand_from rank predict encode'
set -l bench '__fish_seen_subcommand_from bench'
set -l texts '__fish_seen_subcommand_from rank predict encode eval tokenize'
set -l all '__fish_seen_subcommand_from rank predict encode eval bench devices inspect tokenize convert'
set -l most '__fish_seen_subcommand_from rank predict encode eval bench inspect tokenize convert'

function __crossenc_devices
    echo auto
    crossenc devices --json 2>/dev/null | string match -ra '"id":"[^"]*"' | string replace -r '"id":"([^"]*)"' '$1'
end

complete -c crossenc -f
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -l version -s V -d 'Version'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -l help -s h -d 'Help'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a rank -d 'Rank documents for a query'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a predict -d 'Score pairs of texts'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a encode -d 'Embeddings of texts'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a eval -d 'Measure a re-ranked run'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a bench -d 'Measure how fast a model is'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a devices -d 'List devices'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a inspect -d 'Show a model and its placement'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a tokenize -d 'Show the token ids of a pair or a text'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a convert -d 'Write a model in another precision'
complete -c crossenc -n "not __fish_seen_subcommand_from $commands" -a help -d 'Show help'
complete -c crossenc -n '__fish_seen_subcommand_from help' -a 'rank predict encode eval bench devices inspect tokenize convert'

complete -c crossenc -n $model -s m -l model -xa '(__fish_complete_directories)' -d 'Model folder or name'
complete -c crossenc -n $model -s d -l device -xa '(__crossenc_devices)' -d 'Where to run'
complete -c crossenc -n $most -s t -l threads -x -d 'CPU threads'
complete -c crossenc -n $model -l cpus -x -d 'CPUs to bind threads to'
complete -c crossenc -n $model -l max-length -x -d 'Tokens of a pair'
complete -c crossenc -n $most -l precision -xa 'default float32 bfloat16 int8' -d 'How numbers are multiplied'
complete -c crossenc -n $model -l batch-tokens -x -d 'Tokens encoded together'
complete -c crossenc -n $most -s Q -l quiet -d 'No progress, notes and warnings'
complete -c crossenc -n $most -s v -l verbose -d 'The log of the library'
complete -c crossenc -n '__fish_seen_subcommand_from convert' -l force -d 'Replace a model folder'
complete -c crossenc -n '__fish_seen_subcommand_from convert' -xa '(__fish_complete_directories)'
complete -c crossenc -n '__fish_seen_subcommand_from rank predict encode eval' -l deferred -d 'Place the model at the first input'
complete -c crossenc -n '__fish_seen_subcommand_from inspect' -l place -d 'Place the model and show what was verified'

complete -c crossenc -n $scoring -s a -l activation -xa 'default identity sigmoid tanh relu softmax' -d 'Applied to the logits'
complete -c crossenc -n $scoring -s l -l logits -d 'Raw logits'
complete -c crossenc -n '__fish_seen_subcommand_from predict' -l softmax -d 'Softmax over the labels'
complete -c crossenc -n '__fish_seen_subcommand_from rank' -s k -l top-k -x -d 'How many to print'
complete -c crossenc -n '__fish_seen_subcommand_from eval' -s k -l k -x -d 'Cut-off of the measures'
complete -c crossenc -n '__fish_seen_subcommand_from eval' -l max-queries -x -d 'Queries to measure'
complete -c crossenc -n $runs -s n -l top -x -d 'Documents of each query to re-rank'

complete -c crossenc -n '__fish_seen_subcommand_from rank' -s D -l documents -rF -d 'File of documents'
complete -c crossenc -n $input -s f -l format -xa 'auto lines tsv jsonl' -d 'Format of the input'
complete -c crossenc -n $runs -s r -l run -rF -d 'First-stage run'
complete -c crossenc -n $runs -s c -l corpus -rF -d 'Documents of the run'
complete -c crossenc -n $runs -s q -l queries -rF -d 'Queries of the run'
complete -c crossenc -n '__fish_seen_subcommand_from eval' -s j -l qrels -rF -d 'Judgements'
complete -c crossenc -n $texts -l utf8 -xa 'strict replace' -d 'Bytes that are not UTF-8'

complete -c crossenc -n $bench -l only -xa 'all throughput latency cold-start memory' -d 'What to measure'
complete -c crossenc -n $bench -l seconds -x -d 'How long to measure'
complete -c crossenc -n $bench -l quick -d 'Rough figures'
complete -c crossenc -n $bench -s p -l plot -rF -d 'Draw into an SVG'

complete -c crossenc -n $all -l json -d 'JSON, for programs'
complete -c crossenc -n $all -l color -xa 'auto always never' -d 'Colours'
complete -c crossenc -n $all -s h -l help -d 'Help'
complete -c crossenc -n $input -s o -l output -rF -d 'Write results to a file'
complete -c crossenc -n '__fish_seen_subcommand_from eval' -s o -l save-run -rF -d 'Write the re-ranked run'
complete -c crossenc -n $runs -l tag -x -d 'Last column of the run that is written'
complete -c crossenc -n '__fish_seen_subcommand_from predict encode' -F

set -l encode '__fish_seen_subcommand_from encode'
set -l prompts '__fish_seen_subcommand_from encode tokenize'
complete -c crossenc -n $prompts -l prompt -x -d 'Text to put before each text'
complete -c crossenc -n $prompts -l prompt-name -x -d 'Prompt of the model to put before each text'
complete -c crossenc -n $encode -l truncate-dim -x -d 'Values to keep'
complete -c crossenc -n $encode -l normalize -d 'Scale embeddings to length 1'
complete -c crossenc -n $encode -l type -xa 'float32 int8 uint8 binary ubinary' -d 'How values are written'
complete -c crossenc -n $encode -l to -xa 'auto jsonl npy' -d 'Form of the output'
