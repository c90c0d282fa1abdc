package webhook

var Sign = sign
