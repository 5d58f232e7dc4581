module serin.dev/tools/probe

go 1.26
