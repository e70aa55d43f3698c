module host

go 1.19

require settled v0.0.0

replace settled => ../settled
