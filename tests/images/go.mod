module images

go 1.19
