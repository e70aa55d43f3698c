module agreement

go 1.19
