module arenas

go 1.20
