package spec

import "strings"

// closest finds the known word that a slip of the pen probably meant, or "".
func closest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, bestAt := "", 1+max(1, len(word)/3)
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// distance counts the edits (insert, delete, replace, swap of neighbours) from a to b.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range t {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			change := 1
			if s[i-1] == t[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(s)][len(t)]
}

// looksSecret says whether a key seems to hold a secret (I12).
func looksSecret(key string) bool {
	key = strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))
	for _, word := range []string{"secret", "password", "passwd", "accesskey", "keyid",
		"sessiontoken", "apikey", "privatekey"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return key == "token" || key == "key"
}
