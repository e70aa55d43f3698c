module arenas

go 1.20

require settled v0.0.0

replace settled => ../settled
