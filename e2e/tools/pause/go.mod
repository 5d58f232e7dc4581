module serin.dev/tools/pause

go 1.26
