module tables

go 1.19
