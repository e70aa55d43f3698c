module heartbeat

go 1.19
