package main

func init() {
	pair("sparse-spans", thinOut, nil)
	healthy("garbage-burst", burst)
	healthy("instances", countInstances)
}

type session struct {
	data [1000]byte
}

var survivors []*session

// One object of each span survived, and keeps its span.
func thinOut(cured bool) {
	all := make([]*session, 40000)
	for i := range all {
		all[i] = &session{}
	}
	for i := range all {
		if i%8 == 0 && !cured {
			survivors = append(survivors, all[i])
		}
	}
	if cured {
		for i := 0; i < len(all)/8; i++ {
			survivors = append(survivors, &session{})
		}
	}
}

// ---- healthy

func burst() {
	for i := 0; i < 30; i++ {
		length += len(body(mib))
	}
}

type activity struct {
	image   []byte
	message *activity
}

var activities []*activity

func countInstances() {
	for i := 0; i < 40; i++ {
		activities = append(activities, &activity{image: body(50000)})
	}
}
