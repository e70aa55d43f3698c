module settled

go 1.19
