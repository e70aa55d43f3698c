module cmemory

go 1.19
