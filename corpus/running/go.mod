module running

go 1.19
