module heapwhy.test/load

go 1.19
