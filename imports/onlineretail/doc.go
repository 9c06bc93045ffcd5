// Package onlineretail turns a file of the Online Retail data set (Daqing Chen, UCI Machine Learning Repository, 2015,
// doi:10.24432/C5BW33) into recorded orders, stock, money and returns with their real dates.
//
//	lines.go     CSV lines, each read or rejected for a reason
//	history.go   lines become orders, products, customers and receipts
//	credits.go   C invoices become returns of the orders they give money back for
//	commands.go  all of that as commands, by stream and in order of time
//	run.go       the commands are sent, many streams at once; a second run changes nothing
//
// Every step has a natural id (order, receipt, reservation, C invoice), and the aggregates never forget those: what has
// been recorded is found again, whenever the file is imported again.
package onlineretail
