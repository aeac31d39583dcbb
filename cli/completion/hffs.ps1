# PowerShell completion for hffs: hffs completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName hffs, hffs.exe -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text.Trim("'", '"') })
    $program = $words[0]
    $words = @($words | Select-Object -Skip 1)
    $given = $wordToComplete.Trim("'", '"')
    if ($given -eq '') {
        # older versions do not hand empty arguments on
        $words += if ($PSVersionTable.PSVersion -ge [version]'7.3') { '' } else { '""' }
    }
    & $program __complete @words 2>$null | ForEach-Object {
        $word, $what = $_ -split "`t", 2
        if ($word -eq ':files' -or $word -eq ':folders') {
            [System.Management.Automation.CompletionCompleters]::CompleteFilename($given)
        } else {
            if (-not $what) { $what = $word }
            $text = if ($word -match '[\s''"`$&|;<>(){}@#]') { "'" + $word.Replace("'", "''") + "'" } else { $word }
            [System.Management.Automation.CompletionResult]::new($text, $word, 'ParameterValue', $what)
        }
    }
}
